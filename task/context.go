package task

import "context"

type contextKey struct{}

// handlerContext is what a handler's context adds to its parent. It is one allocation, as attempts are many.
type handlerContext struct {
	context.Context
	task *Task
	run  Run
}

func (c *handlerContext) Value(key any) any {
	if key == (contextKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// From returns the task whose handler runs under ctx, or nil outside a handler.
func From(ctx context.Context) *Task {
	if c, ok := ctx.Value(contextKey{}).(*handlerContext); ok {
		return c.task
	}
	return nil
}

// NewContext returns a context under which [From] finds t: for tests of handlers, and for those who call handlers
// themselves. Nodes do it for every attempt.
func NewContext(ctx context.Context, t *Task) context.Context {
	return NewRunContext(ctx, t, nil)
}

// NewRunContext is [NewContext] with what [Fence], [Slot], [Progress] and [Result] need; run may be nil.
func NewRunContext(ctx context.Context, t *Task, run Run) context.Context {
	return &handlerContext{ctx, t, run}
}
