package consumer

import (
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/retry"
	"github.com/tasktier/tasktier/task"
	"go.uber.org/zap"
)

// This file alone holds the order of effects of a turn. Each step ends by calling the next, and none blocks but the
// handler:
//
//	begin    may it run?          what the record itself says; then its claim, in batches
//	attempt  the handler runs     in a slot
//	settle   its successor        the retry or the dead letter is acknowledged by all in-sync replicas
//	finish   the outcome          its claim records it, in batches
//	complete the offset           and only now may the watermark pass it
//
// A crash between any two steps leaves the offset uncommitted: the record is delivered again and begins again. A turn
// that is dropped on the way (its partition was taken, the node stops) is completed by nobody here. Without claims every
// verdict is run, and every outcome counts as recorded.

// begin decides what becomes of turns that were just polled, or whose time has come. Those that may run go to their
// lane and to the slots, which have their claims asked for when they are about to start.
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
	c.ready(q, ready...)
}

// ready lets turns go to the slots, or to the gates of their types.
func (c *Consumer) ready(q *queue, turns ...*turn) {
	turns = c.gates.admit(q, turns)
	if !c.slots.push(q.share, turns...) {
		q.drop(turns...)
	}
}

// decided takes the verdicts of claims.
func (c *Consumer) decided(decisions []claim.Decision) {
	now := c.uptime()
	for _, q := range c.queues {
		n := 0
		var won []*turn
		for _, d := range decisions {
			t := turnOf(d.Hold)
			if t.part.queue != q {
				continue
			}
			if t.begged {
				t.begged = false
				n++
			}
			if d.Verdict == claim.Run {
				t.waited, t.wonAt = 0, now
				t.task.Attempt = max(t.task.Attempt, t.hold.Attempt())
				t.solo = c.book.LastRun(t.hold)
				won = append(won, t)
				continue
			}
			c.denied(t, d.Verdict)
		}
		if len(won) > 0 && !c.slots.win(q.share, won...) {
			q.drop(won...)
		}
		if n > 0 {
			c.slots.answered(q.share, n)
		}
	}
}

// denied takes a verdict that lets the turn not run.
func (c *Consumer) denied(t *turn, v claim.Verdict) {
	q := t.part.queue
	switch v {
	case claim.Done, claim.Stale:
		if !t.part.start() {
			q.drop(t)
			return
		}
		q.count.repeated.Add(1)
		c.pass(t)
	case claim.Bury:
		// The claim is ours now, so the letter is, whoever has the partition.
		t.part.force()
		if !c.background.start(func() { c.buryFound(t) }) { // it stays dying; whoever finds it next goes on
			t.part.release()
			q.drop(t)
		}
	default:
		c.await(t)
	}
}

// attempt runs the handler of a turn that has a slot. Should the handler end the slot's goroutine, replace is called to
// start another.
func (c *Consumer) attempt(t *turn, replace func()) {
	q := t.part.queue
	if !t.part.start() {
		q.drop(t)
		return
	}
	if t.hold != nil && t.hold.Over() {
		c.abandon(t)
		return
	}
	if t.hold != nil && t.hold.Canceled() {
		c.settle(t, outcome{kind: cancels})
		return
	}
	if expires := t.task.Expires; !expires.IsZero() && time.Now().After(expires) {
		c.settle(t, outcome{kind: dies, reason: task.ReasonExpired, err: errExpired})
		return
	}
	if !c.gates.mayStart(t) {
		c.abandon(t)
		return
	}
	h := c.cfg.Mux.route(t.task.Type)
	if h == nil {
		c.settle(t, q.unhandled(t))
		return
	}
	breaker, permit, wait := c.permit(t)
	if wait > 0 {
		c.settle(t, outcome{kind: snoozes, delay: wait})
		return
	}
	if t.solo && !c.isolate(t) {
		c.tried(breaker, permit, t, outcome{kind: abandoned})
		return
	}
	q.count.started.Add(1)
	c.settle(t, c.tried(breaker, permit, t, c.execute(h, t, func(o outcome) {
		c.settle(t, c.tried(breaker, permit, t, o))
		replace()
	})))
}

// isolate lets nothing else run on this node until the outcome is recorded, and has the claim say so, before a task
// starts that is suspected of taking its processes down. Only in a session that others know: else they would blame the
// task for it. When that can't be had now, the turn is given back.
func (c *Consumer) isolate(t *turn) bool {
	session := t.hold.Lease()
	if !session.Trusted() || !c.slots.alone() {
		pause := crowded << min(t.lonely, 2)
		t.lonely++
		c.gates.leave(t)
		c.book.Release(t.hold, func(claim.Result) { c.putAside(t, pause, true) })
		return false
	}
	t.lone, t.lonely = true, 0
	noted := make(chan claim.Result, 1)
	c.book.Alone(t.hold, func(r claim.Result) { noted <- r })
	switch r := <-noted; {
	case r == claim.Lost:
		c.beginAgain(t)
	case !session.Trusted():
		c.abandon(t)
	default:
		return true
	}
	return false
}

// rejoin lets others start beside a turn that had this node for itself.
func (c *Consumer) rejoin(t *turn) {
	if t.lone {
		t.lone = false
		c.slots.together()
	}
}

// settle gives the turn its successor, if its outcome asks for one, and finishes it when that is acknowledged.
func (c *Consumer) settle(t *turn, o outcome) {
	q := t.part.queue
	c.gates.leave(t)
	switch o.kind {
	case succeeds:
		c.succeed(t)
	case cancels:
		c.finish(t, claim.Outcome{State: claim.Canceled}, Settled{Task: &t.task, State: task.Canceled})
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
	case postpones, defers:
		c.handOn(t, o)
	case abandoned:
		c.abandon(t)
	}
}

// bury has the claim of a turn at work say that it is dying, so that nobody else runs it or writes its letter, and then
// writes that.
func (c *Consumer) bury(t *turn, reason task.Reason, cause error) {
	if !t.won() { // no claims; or no task that could have one
		c.writeLetter(t, reason, cause)
		return
	}
	c.book.Finish(t.hold, claim.Outcome{State: claim.Dying, Details: t.lastWords(reason, cause)}, func(r claim.Result) {
		if r == claim.Lost {
			c.beginAgain(t)
			return
		}
		c.writeLetter(t, reason, cause)
	})
}

// buryFound writes the letter of a task that was found dying, from what was left beside its claim.
func (c *Consumer) buryFound(t *turn) {
	d, err := c.details(t)
	switch {
	case err != nil: // the node stops; the claim says dying, and whoever finds it next goes on
		t.part.release()
		t.part.queue.drop(t)
	case d == nil || d.Reason == "":
		c.writeLetter(t, task.ReasonPoison, fmt.Errorf("%d processes died while they ran it; the last one ran nothing else", t.hold.Crashes()))
	default:
		c.writeLetter(t, d.Reason, errors.New(d.Error))
	}
}

// writeLetter writes the dead letter and finishes the turn when that is acknowledged. The writer tries until then, or
// until the consumer ends: then the turn is dropped, and delivered again to whoever comes next.
func (c *Consumer) writeLetter(t *turn, reason task.Reason, cause error) {
	q := t.part.queue
	letter := deadletter.Death{Queue: q.Name, Record: t.record, Reason: reason, Err: cause, Origin: t.origin()}
	if reason != task.ReasonUndecodable {
		letter.Task = &t.task
	}
	if t.hold != nil {
		letter.Crashes = t.hold.Crashes()
	}
	c.letters.Write(c.writing, letter, func(err error) {
		if err != nil {
			t.part.release()
			q.drop(t)
			return
		}
		c.cfg.Log.Warn("task is dead", append(fields(&t.task), zap.String("reason", string(reason)), zap.String("origin", letter.Origin), zap.Error(cause))...)
		c.finish(t, claim.Outcome{State: claim.Dead, Details: t.lastWords(reason, cause)}, Settled{Task: &t.task, State: task.Dead, Reason: reason, Err: cause})
	})
}

// handOn writes the successor of a turn at work, which comes back when its time has come, and finishes the turn when that
// is acknowledged.
func (c *Consumer) handOn(t *turn, o outcome) {
	w := t.successor(o)
	c.waits.Write(c.writing, w, func(err error) {
		switch {
		case errors.Is(err, retry.ErrTooLarge) && o.kind == defers:
			t.rooted = true
			c.beginAgain(t)
		case errors.Is(err, retry.ErrTooLarge):
			c.bury(t, task.ReasonOversize, err)
		case err != nil:
			c.abandon(t)
		default:
			if o.kind == defers {
				t.part.queue.count.moved.Add(1)
			}
			if o.kind == retries {
				c.cfg.Log.Debug("attempt failed", append(fields(&t.task), zap.Time("due", w.Due), zap.Error(o.err))...)
			}
			c.finish(t, o.claim(w), Settled{Task: &t.task, State: o.kind.state(), Err: o.err, Due: w.Due})
		}
	})
}

// again lets a turn of a lane start again in place, after a while for which its lane waits with it.
func (c *Consumer) again(t *turn, o outcome) {
	if o.kind != retries || !t.won() {
		c.waitInPlace(t, o)
		return
	}
	c.book.Retried(t.hold, t.task.Attempt+1, func(r claim.Result) {
		if r == claim.Lost {
			c.beginAgain(t)
			return
		}
		c.waitInPlace(t, o)
	})
}

func (c *Consumer) waitInPlace(t *turn, o outcome) {
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

// succeed is finish for what most turns come to, without a closure of its own for each.
func (c *Consumer) succeed(t *turn) {
	if t.won() {
		c.book.Finish(t.hold, claim.Outcome{State: claim.Succeeded, Details: t.saying()}, t.succeeded)
		return
	}
	c.complete(t, Settled{Task: &t.task, State: task.Succeeded})
}

func (t *turn) succeeded(r claim.Result) {
	t.part.queue.consumer.finished(t, claim.Succeeded, Settled{Task: &t.task, State: task.Succeeded}, r)
}

// finish has the claim record the outcome. One that is lost counts for nothing: the record begins again, and its next
// verdict decides. A letter that is written has decided already.
func (c *Consumer) finish(t *turn, o claim.Outcome, s Settled) {
	if !t.won() {
		c.complete(t, s)
		return
	}
	c.book.Finish(t.hold, o, func(r claim.Result) { c.finished(t, o.State, s, r) })
}

// finished takes what became of an outcome.
func (c *Consumer) finished(t *turn, as claim.State, s Settled, r claim.Result) {
	switch {
	case r == claim.Lost && as != claim.Dead:
		t.part.queue.count.lost.Add(1)
		c.beginAgain(t)
	case t.hold.Canceled():
		c.complete(t, Settled{Task: &t.task, State: task.Canceled})
	default:
		c.complete(t, s)
	}
}

// complete lets the watermark pass the turn and starts the next of its lane.
func (c *Consumer) complete(t *turn, s Settled) {
	t.part.queue.count.settle(s)
	c.pass(t)
	if c.cfg.Settled != nil {
		c.cfg.Settled(s)
	}
}

// pass completes the offset of a turn at work.
func (c *Consumer) pass(t *turn) {
	q := t.part.queue
	c.rejoin(t)
	c.gates.leave(t)
	next := t.part.settle(t)
	q.window.release(1, t.bytes)
	if next != nil {
		c.ready(q, next)
	}
}
