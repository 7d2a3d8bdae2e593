package producer

import (
	"context"
	"sync"

	"github.com/tasktier/tasktier/task"
)

// A call is one Send: it gathers its tasks' outcomes until all are there or its context ends, whichever is first.
type call struct {
	mu       sync.Mutex
	settled  []bool
	errs     []error // nil until the first failure
	left     int
	returned bool
	all      chan struct{}
}

func newCall(n int) *call {
	c := &call{settled: make([]bool, n), left: n, all: make(chan struct{})}
	if n == 0 {
		close(c.all)
	}
	return c
}

// settle notes the outcome of task i.
func (c *call) settle(i int, err error) { c.settleWith(i, err, nil) }

// settleWith also calls note, unless the call has returned and nobody would see it.
func (c *call) settleWith(i int, err error, note func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.returned {
		return
	}
	c.settled[i] = true
	c.fail(i, err)
	if note != nil {
		note()
	}
	if c.left--; c.left == 0 {
		close(c.all)
	}
}

func (c *call) fail(i int, err error) {
	if err == nil {
		return
	}
	if c.errs == nil {
		c.errs = make([]error, len(c.settled))
	}
	c.errs[i] = err
}

// wait returns when every task is settled or ctx ended.
func (c *call) wait(ctx context.Context, p *Producer, tasks []*task.Task) error {
	select {
	case <-c.all:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.returned = true
	for i, t := range tasks {
		if !c.settled[i] {
			c.fail(i, p.unacknowledged(ctx, p.topicOf(t)))
		}
	}
	if c.errs == nil {
		return nil
	}
	e := &SendError{Total: len(tasks)}
	for i, err := range c.errs {
		if err != nil {
			e.Failures = append(e.Failures, Failure{Index: i, Task: tasks[i], Err: err})
		}
	}
	return e
}
