package simulation

import (
	"context"
	"errors"
	"time"

	"github.com/tasktier/tasktier/task"
)

// A plan is how a task is meant to end, if nothing happens to it.
type plan struct {
	failures  int  // how many attempts fail; maxAttempts of them exhaust the task
	permanent bool // it fails for good
	kills     bool // it kills its process
	delay     time.Duration
}

// maxAttempts of a task exhaust it.
const maxAttempts = 4

func (m *simulation) planOf(id string) (p plan) {
	rng := m.random(id, -2)
	switch n := rng.IntN(40); {
	case n < 20:
	case n < 30:
		p.failures = 1 + rng.IntN(maxAttempts-1)
	case n < 33:
		p.failures = maxAttempts
	case n < 38:
		p.permanent = true
	case n == 38:
		p.kills = true
	}
	if rng.IntN(6) == 0 {
		p.delay = time.Duration(1+rng.IntN(4000)) * time.Millisecond
	}
	return p
}

// handle is the handler of all tasks. Its outcome follows from the task's plan, its duration and what else it does from
// random numbers.
func (m *simulation) handle(p *process, ctx context.Context, tk *task.Task) (err error) {
	a := m.begin(p, ctx, tk)
	defer func() { m.end(a, err) }()
	rng := m.random(tk.ID, a.number)
	lasts := time.Duration(rng.IntN(1500)) * time.Millisecond
	if rng.IntN(6) == 0 {
		lasts = time.Duration(rng.IntN(12)) * time.Second
	}
	done := ctx.Done()
	if rng.IntN(3) == 0 {
		done = nil // it ignores its context
	}
	select {
	case <-time.After(lasts):
	case <-done:
		return ctx.Err()
	case <-p.dead:
		<-ctx.Done() // its process is gone, so nothing records what it returns
		return ctx.Err()
	}
	plan := a.task.plan
	switch {
	case plan.kills && tk.Generation == 0:
		p.kill()
		<-p.dead
		<-ctx.Done()
		return ctx.Err()
	case rng.IntN(10) == 0 && tk.Turn < 4:
		return task.Snooze(time.Duration(rng.IntN(3000)) * time.Millisecond)
	case tk.Generation > 0:
		return nil
	case plan.permanent:
		return task.Permanent(errors.New("no such account"))
	case tk.Attempt <= plan.failures:
		if rng.IntN(5) == 0 {
			err = errors.New("no luck") // for end
			panic(err)
		}
		return task.RetryAfter(time.Duration(rng.IntN(3000))*time.Millisecond, errors.New("no luck"))
	}
	return nil
}
