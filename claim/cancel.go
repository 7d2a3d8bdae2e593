package claim

import (
	"context"
	"time"

	"github.com/tasktier/tasktier/internal/nap"
	"github.com/tasktier/tasktier/task"
)

// A Cancellation says what a [Store.Cancel] found, and what it did.
type Cancellation struct {
	// Before is the state the task was in; "" if there was no claim: nobody had begun it or announced it.
	Before task.State
	// After is its state now. Canceled: it will not start. Running: its handler's context is ended if Asked is true; else
	// it is too late, because its letter is being written. Any other: it was too late.
	After task.State
	// Asked says that the run was asked to end. It ends as canceled, unless its handler succeeds or it dies.
	Asked bool
}

// cancelTries is how often a call is made that Redis does not answer.
const cancelTries = 3

// Cancel sees to it that a task does not start any more, or asks its run to end. w is the window of the task's queue. Asked
// again, it says that the task is canceled. An error says that Redis did not answer, or wraps [ErrFormat]; trying again is
// safe.
func (s *Store) Cancel(ctx context.Context, id Identity, w Window) (Cancellation, error) {
	w = w.withDefaults()
	o := &op{key: id.Key()}
	o.name = o.key.text(s.prefix)
	text, err := s.get(ctx, o.key)
	for err == nil {
		now := time.Now()
		var found Claim
		var c Cancellation
		if text != "" {
			if found, err = Parse(text); err != nil {
				return Cancellation{}, unreadable(id, text)
			}
			c.Before = found.TaskState(now)
		}
		next, write := canceled(found, now)
		c.After, c.Asked = next.TaskState(now), next.State == Running
		if write {
			o.expect, o.write, o.keep = text, next.String(), w.keep(next, id.ID, now)
			if next.State == Canceled {
				o.field = counterField(id.Queue, next.Type, string(task.Canceled))
			}
			err = s.insist(ctx, o)
		}
		switch {
		case err != nil:
		case write && !o.applied:
			text = o.found // somebody was quicker
			continue
		case c.Asked:
			// Only a hint: the owner's next refresh finds the flag without it.
			_ = s.client.Publish(ctx, s.controlChannel(), cancelWord+" "+o.name).Err()
		}
		return c, err
	}
	return Cancellation{}, err
}

// insist makes a call again that was not answered. What the lost try wrote is recognised as its own.
func (s *Store) insist(ctx context.Context, o *op) error {
	pause := minPause
	for try := 1; ; try++ {
		err := s.swap(ctx, []*op{o})
		if err == nil || try == cancelTries || ctx.Err() != nil {
			return err
		}
		if !nap.For(ctx, pause) {
			return err
		}
		pause *= 2
	}
}

// canceled is what found becomes when the task is canceled; write says whether that is something else.
func canceled(found Claim, now time.Time) (next Claim, write bool) {
	next = found
	switch {
	case found.State == 0:
		return Claim{State: Canceled, Generation: AllGenerations, Turn: 1, Attempt: 1, At: now.UnixMilli()}, true
	case found.State.waits():
		next.State, next.Generation, next.At = Canceled, AllGenerations, now.UnixMilli()
		next.Flags &= TakenOver
		return next, true
	case found.State == Running:
		next.Flags |= CancelAsked
		return next, next != found
	default:
		return found, false
	}
}
