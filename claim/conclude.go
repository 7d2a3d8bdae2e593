package claim

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// A Result is what became of a Finish, a Release or a Note.
type Result uint8

const (
	// Written: the claim shows the outcome; a task that was to be canceled shows that instead, see [Hold.Canceled].
	Written Result = iota
	// Lost: another session has the task, or had: the outcome was discarded. The record must begin again; only its next
	// verdict can complete its offset.
	Lost
)

// An Outcome is how a run ended.
type Outcome struct {
	// State is Succeeded, Canceled, Dying (its letter is about to be written), Dead (it is written), Retrying (the next
	// turn has been written), or Pending (likewise, after a snooze).
	State State
	// Due is when the next turn may start.
	Due time.Time
	// Details are kept beside the claim, if there are any.
	Details *Details
}

// Finish records how a run ended, which was begun with the verdict Run; or, with Dead, that the letter of one is written
// that was to be buried. done is told by a goroutine of the book and must not block. After Dying the hold is still to be
// finished, with Dead.
func (b *Book) Finish(h *Hold, o Outcome, done func(Result)) {
	now := time.Now()
	next := h.claim()
	next.State, next.At = o.State, now.UnixMilli()
	switch o.State {
	case Retrying:
		next.Turn, next.Attempt, next.At = next.Turn+1, next.Attempt+1, o.Due.UnixMilli()
	case Pending:
		next.Turn, next.At = next.Turn+1, o.Due.UnixMilli()
	default: // the turn is the last
	}
	next.Flags &= TakenOver
	b.conclude(h, next, now, o.Details, done)
}

// Release gives back what was begun and is not run: somebody else may begin it at once.
func (b *Book) Release(h *Hold, done func(Result)) {
	now := time.Now()
	next := h.claim()
	next.State, next.At = Pending, now.UnixMilli()
	next.Flags &= TakenOver
	b.conclude(h, next, now, nil, done)
}

// Alone notes that the run has its node for itself, which must be known before its handler starts; see [Hold.LastRun].
func (b *Book) Alone(h *Hold, done func(Result)) {
	next := h.claim()
	next.Flags |= Alone
	b.conclude(h, next, time.Now(), nil, done)
}

// Retried notes that the run goes on with another attempt in place.
func (b *Book) Retried(h *Hold, attempt int, done func(Result)) {
	next := h.claim()
	next.Attempt = attempt
	b.conclude(h, next, time.Now(), nil, done)
}

// LastRun says whether the task may take no further process down: it runs alone, so that it is known who did.
func (b *Book) LastRun(h *Hold) bool { return lastRun(h.have.Crashes, b.cfg.Crashes) }

func (b *Book) conclude(h *Hold, next Claim, now time.Time, details *Details, done func(Result)) {
	keep := b.window(h).keep(next, h.Task.ID, now)
	h.mu.Lock()
	h.asking, h.done = true, done
	text, have := h.text, h.have
	h.mu.Unlock()
	next = next.heed(have, now.UnixMilli())
	b.ask(h, nil, h.sheet(have, next), text, now, b.onConcluded)
	h.op.keep = max(h.op.keep, keep) // of what ends as canceled, the next turn may be on its way
	if details == nil && text != "" && b.window(h).lasts(have, h.op.keep, h.Task.ID, now) {
		h.op.keep = asItIs
	}
	if details != nil {
		details.Node = b.cfg.Node
		h.op.details = details.render(h.Task)
	}
	if b.cfg.Proceed && b.away.Load() {
		h.op.answered(&h.op, errAway)
		return
	}
	b.swaps.add(&h.op)
}

// closing says that a call was given up because the book is being closed, not because Redis is away.
func closing(err error) bool { return errors.Is(err, errStopped) || errors.Is(err, context.Canceled) }

// concluded reads the answer to a conclude. What Redis shows instead may still allow it; see confirm.
func (b *Book) concluded(o *op, err error) {
	h := o.hold
	if err != nil {
		if !b.cfg.Proceed || closing(err) {
			b.end(h, Lost)
			return
		}
		o.applied = true // at least once, as long as Redis is away
	}
	if o.applied {
		b.end(h, Written)
		return
	}
	var found Claim
	if o.found != "" {
		var err error
		if found, err = Parse(o.found); err != nil {
			b.end(h, Lost)
			return
		}
	}
	next, write := confirm(found, h.have, *h.next, h.trusted(), time.Now().UnixMilli())
	if !write {
		b.end(h, Lost)
		return
	}
	keep, details := h.op.keep, h.op.details
	b.ask(h, nil, newSheet(h.Task.Queue, h.have, next), o.found, time.Now(), b.onConcluded)
	h.op.keep, h.op.details = max(h.op.keep, keep), details
	b.swaps.add(&h.op)
}

// end tells the owner how a conclude ended. The hold leaves the register, unless its run goes on.
func (b *Book) end(h *Hold, r Result) {
	if r == Lost {
		b.count.lost.Add(1)
		b.cfg.Log.Warn("result discarded: the task is no longer this node's", h.fields(zap.String("outcome", string(h.next.State)))...)
	}
	h.mu.Lock()
	h.asking = false
	asked := r == Written && h.next.State == Running && h.next.Flags&^h.have.Flags&CancelAsked != 0
	h.have, h.text = *h.next, h.op.write
	if r == Lost {
		h.have, h.text = Claim{}, ""
	}
	done := h.done
	h.done = nil
	goesOn := r == Written && (h.next.State == Running || h.next.State == Dying)
	h.mu.Unlock()
	if !goesOn {
		b.register.leave(h)
		if r == Written {
			b.note(h)
		}
	}
	if asked {
		b.cfg.Interrupt(h, ErrCanceled) // the message came while this was being asked
	}
	done(r)
}

// counter is the field of the counters that a claim which becomes next counts for; "" for none.
func counter(queue string, have, next Claim) string {
	switch {
	case next.atWork(), next.State == Pending && next.Turn == have.Turn:
		return "" // nothing has come of it yet, or it was given back
	case next.State == Pending:
		return counterField(queue, next.Type, "snoozed")
	default:
		return counterField(queue, next.Type, string(next.TaskState(time.Now())))
	}
}
