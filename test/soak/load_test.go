package soak

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
)

const (
	rate  = 400 // tasks a second
	beats = 20  // a second, at each of which some are sent
)

// A load sends tasks at a steady rate.
type load struct {
	t        *testing.T
	producer *producer.Producer
	n        int // tasks that were made
	sent     atomic.Int64
}

// next makes a task: most just succeed, and some of everything else that comes back is between them.
func (l *load) next() *task.Task {
	l.n++
	var opts []task.Option
	if l.n%2 == 0 { // an id of our own is kept as long as one that was minted
		opts = append(opts, task.ID(fmt.Sprint(l.n)))
	}
	switch l.n % 25 {
	case 1, 2:
		return work.New(plan{Fails: true}, opts...)
	case 3:
		return work.New(plan{Snoozes: true}, opts...)
	case 4:
		return work.New(plan{}, append(opts, task.In(time.Duration(l.n%3000)*time.Millisecond))...)
	case 5:
		if l.n%100 == 5 {
			return locked.New(plan{}, opts...)
		}
	}
	return work.New(plan{}, opts...)
}

// run sends until ctx ends.
func (l *load) run(ctx context.Context) {
	beat := time.NewTicker(time.Second / beats)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		tasks := make([]*task.Task, rate/beats)
		for i := range tasks {
			tasks[i] = l.next()
		}
		if err := l.producer.Send(context.WithoutCancel(ctx), tasks...); err != nil {
			l.t.Error(err)
			return
		}
		l.sent.Add(int64(len(tasks)))
	}
}
