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
	cancel context.CancelFunc
	ended  bool
}

func newAttemptContext(parent context.Context, deadline time.Time) *attemptContext {
	return &attemptContext{parent: parent, deadline: deadline}
}

// end cancels the context: the attempt is over.
func (c *attemptContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.cancel != nil {
		c.cancel()
	}
}

func (c *attemptContext) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *attemptContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		c.inner, c.cancel = context.WithDeadline(c.parent, c.deadline)
		if c.ended {
			c.cancel()
		}
	}
	return c.inner.Done()
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
// goroutine of their own to watch it.
func (c *attemptContext) Value(key any) any {
	c.mu.Lock()
	from := c.inner
	c.mu.Unlock()
	if from == nil {
		from = c.parent
	}
	return from.Value(key)
}
