package consumer

import (
	"context"
	"sync"
	"time"
)

// An attemptContext is the context of one attempt. It is what context.WithDeadline returns, but for the timer, which is
// made when somebody waits for it: most handlers are done long before their timeout and never ask.
type attemptContext struct {
	parent   context.Context
	deadline time.Time

	mu     sync.Mutex
	inner  context.Context // once somebody has asked for Done
	cancel context.CancelCauseFunc
	free   context.CancelFunc
	ended  bool
	cause  error
}

func newAttemptContext(parent context.Context, deadline time.Time) *attemptContext {
	return &attemptContext{parent: parent, deadline: deadline}
}

// end cancels the context: the attempt is over, or is to stop because of cause. The first end counts.
func (c *attemptContext) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.ended, c.cause = true, cause
	}
	if c.cancel != nil {
		c.cancel(c.cause)
		c.free()
	}
}

func (c *attemptContext) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *attemptContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made().Done()
}

// made is the inner context, made if there was none; c.mu is held.
func (c *attemptContext) made() context.Context {
	if c.inner == nil {
		var base context.Context
		base, c.cancel = context.WithCancelCause(c.parent)
		c.inner, c.free = context.WithDeadline(base, c.deadline)
		if c.ended {
			c.cancel(c.cause)
			c.free()
		}
	}
	return c.inner
}

func (c *attemptContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.inner != nil:
		return c.inner.Err()
	case c.parent.Err() != nil:
		return c.parent.Err()
	case !time.Now().Before(c.deadline):
		return context.DeadlineExceeded
	case c.ended:
		return context.Canceled
	default:
		return nil
	}
}

// Value asks the inner context once there is one, so that contexts derived from this one are its children and need no
// goroutine of their own to watch it. When this one has ended there must be one: only it tells context.Cause why.
func (c *attemptContext) Value(key any) any {
	c.mu.Lock()
	if c.ended {
		c.made()
	}
	from := c.inner
	c.mu.Unlock()
	if from == nil {
		from = c.parent
	}
	return from.Value(key)
}
