package consumer

import (
	"errors"
	"time"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/retry"
	"github.com/tasktier/tasktier/task"
	"go.uber.org/zap"
)

// This file alone holds the order of effects of a turn. Each step ends by calling the next, and none blocks but the
// handler:
//
//	begin    may it run?          a claim will be asked here, in batches
//	attempt  the handler runs     in a slot
//	settle   its successor        the retry or the dead letter is acknowledged by all in-sync replicas
//	finish   the outcome          a claim will record it here, in batches
//	complete the offset           and only now may the watermark pass it
//
// A crash between any two steps leaves the offset uncommitted: the record is delivered again and begins again. A turn
// that is dropped on the way (its partition was taken, the node stops) is completed by nobody here.

// begin decides what becomes of turns that were just polled, or whose time has come. Those that may run go to their
// lane and to the slots.
func (c *Consumer) begin(q *queue, turns []*turn) {
	ready := turns[:0]
	for _, t := range turns {
		ahead := t.ahead()
		switch reason, err := q.unfit(t, ahead); {
		case err != nil && t.part.start():
			t.lane = "" // it is in none: its end must not start what waits in one
			c.bury(t, reason, err)
		case err != nil:
			q.drop(t)
		case ahead > soon:
			c.postpone(t)
		case ahead > 0:
			c.putAside(t, ahead, false)
		case t.part.enter(t):
			ready = append(ready, t)
		}
	}
	c.slots.push(q.share, ready...)
}

// attempt runs the handler of a turn that has a slot. Should the handler end the slot's goroutine, replace is called to
// start another.
func (c *Consumer) attempt(t *turn, replace func()) {
	q := t.part.queue
	if !t.part.start() {
		q.drop(t)
		return
	}
	if expires := t.task.Expires; !expires.IsZero() && time.Now().After(expires) {
		c.settle(t, outcome{kind: dies, reason: task.ReasonExpired, err: errExpired})
		return
	}
	h := c.cfg.Mux.route(t.task.Type)
	if h == nil {
		c.settle(t, q.unhandled(t))
		return
	}
	q.count.started.Add(1)
	c.settle(t, c.execute(h, t, func(o outcome) {
		c.settle(t, o)
		replace()
	}))
}

// settle gives the turn its successor, if its outcome asks for one, and finishes it when that is acknowledged.
func (c *Consumer) settle(t *turn, o outcome) {
	q := t.part.queue
	switch o.kind {
	case succeeds:
		c.finish(t, Settled{Task: &t.task, State: task.Succeeded})
	case dies:
		c.bury(t, o.reason, o.err)
	case retries, snoozes:
		if o.kind == snoozes {
			q.count.snoozed.Add(1)
		} else {
			q.count.retried.Add(1)
		}
		if t.lane != "" {
			c.again(t, o)
		} else {
			c.handOn(t, o)
		}
	case postpones:
		c.handOn(t, o)
	case abandoned:
		t.part.release()
		q.drop(t)
	}
}

// bury writes the dead letter of a turn at work. The writer tries until the letter is acknowledged or the consumer ends:
// then the turn is dropped, and delivered again to whoever comes next.
func (c *Consumer) bury(t *turn, reason task.Reason, cause error) {
	q := t.part.queue
	letter := deadletter.Letter{Queue: q.Name, Record: t.record, Reason: reason, Err: cause, Origin: t.origin()}
	if reason != task.ReasonUndecodable {
		letter.Task = &t.task
	}
	c.letters.Write(c.writing, letter, func(err error) {
		if err != nil {
			t.part.release()
			q.drop(t)
			return
		}
		c.cfg.Log.Warn("task is dead", append(fields(&t.task), zap.String("reason", string(reason)), zap.String("origin", letter.Origin), zap.Error(cause))...)
		c.finish(t, Settled{Task: &t.task, State: task.Dead, Reason: reason, Err: cause})
	})
}

// handOn writes the successor of a turn at work, which comes back when its time has come, and finishes the turn when that
// is acknowledged.
func (c *Consumer) handOn(t *turn, o outcome) {
	q := t.part.queue
	w := t.successor(o)
	c.waits.Write(c.writing, w, func(err error) {
		switch {
		case errors.Is(err, retry.ErrTooLarge):
			c.bury(t, task.ReasonOversize, err)
		case err != nil:
			t.part.release()
			q.drop(t)
		default:
			if o.kind == retries {
				c.cfg.Log.Debug("attempt failed", append(fields(&t.task), zap.Time("due", w.Due), zap.Error(o.err))...)
			}
			c.finish(t, Settled{Task: &t.task, State: o.kind.state(), Err: o.err, Due: w.Due})
		}
	})
}

// again lets a turn of a lane start again in place, after a while for which its lane waits with it.
func (c *Consumer) again(t *turn, o outcome) {
	if o.kind == retries {
		t.task.Attempt++
		o.delay = min(o.delay, maxInPlace)
	}
	c.putAside(t, o.delay, true)
}

// postpone hands on a task that is not due yet: it comes back as it is.
func (c *Consumer) postpone(t *turn) {
	if !t.part.start() {
		t.part.queue.drop(t)
		return
	}
	t.lane = "" // it never entered it: its end must not start what waits there
	c.settle(t, outcome{kind: postpones})
}

// finish records the outcome.
func (c *Consumer) finish(t *turn, s Settled) {
	c.complete(t, s)
}

// complete lets the watermark pass the turn and starts the next of its lane.
func (c *Consumer) complete(t *turn, s Settled) {
	q := t.part.queue
	q.count.settle(s)
	next := t.part.settle(t)
	q.window.release(1, t.bytes)
	if next != nil {
		c.slots.push(q.share, next)
	}
	if c.cfg.Settled != nil {
		c.cfg.Settled(s)
	}
}
