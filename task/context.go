package task

import "context"

type contextKey struct{}

// From returns the task whose handler runs under ctx, or nil outside a handler.
func From(ctx context.Context) *Task {
	t, _ := ctx.Value(contextKey{}).(*Task)
	return t
}

// NewContext returns a context under which [From] finds t: for tests of handlers, and for those who call handlers
// themselves. Nodes do it for every attempt.
func NewContext(ctx context.Context, t *Task) context.Context {
	return context.WithValue(ctx, contextKey{}, t)
}
