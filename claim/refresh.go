package claim

import (
	"context"
	"time"
)

// refreshEvery is how often the claims of long runs are refreshed: so they never expire, a cancellation is seen whose
// message was lost, and so is a takeover.
const refreshEvery = 5 * time.Second

// refresh looks after all runs until ctx ends.
func (b *Book) refresh(ctx context.Context) {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		b.refreshOlder(time.Now().Add(-refreshEvery).UnixMilli())
	}
}

// refreshOlder asks once for the claims of all runs that began before old (Unix ms).
func (b *Book) refreshOlder(old int64) {
	if b.away.Load() {
		return
	}
	var ops []*op
	for _, h := range b.register.all() {
		if o := b.freshen(h, old); o != nil {
			ops = append(ops, o)
		}
	}
	if len(ops) > 0 {
		b.swaps.add(ops...)
	}
}

// freshen asks for the claim of a run to be what it is, if the run began before old (Unix ms) and nothing else is being
// asked for it.
func (b *Book) freshen(h *Hold, old int64) *op {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asking || !h.have.atWork() || h.have.At > old {
		return nil
	}
	return b.freshOp(h, h.text)
}

// freshOp writes the hold's claim over expect. It is no operation of the hold's own: the hold may conclude meanwhile, and
// then finds out by itself. h.mu is held.
func (b *Book) freshOp(h *Hold, expect string) *op {
	return &op{key: h.key, name: h.name, expect: expect, write: h.have.String(), keep: b.window(h).keep(h.have, h.Task.ID, time.Now()), beside: true, hold: h, answered: b.freshened}
}

func (b *Book) freshened(o *op, err error) {
	if err != nil {
		return // Redis is away; the next round asks again
	}
	again, cause := b.refreshed(o)
	if again != nil {
		b.swaps.add(again)
	}
	if cause != nil {
		b.cfg.Interrupt(o.hold, cause)
	}
}

// refreshed reads the answer to a refresh: what to ask next, and why the run should stop.
func (b *Book) refreshed(o *op) (again *op, cause error) {
	h := o.hold
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asking || !h.have.atWork() || h.have.String() != o.write {
		return nil, nil // its end is under way, or it is over
	}
	if o.applied {
		h.text = o.write
		return nil, nil
	}
	var found Claim
	if o.found != "" {
		var err error
		if found, err = Parse(o.found); err != nil {
			return nil, nil // nobody knows what it says; how the run ends will show
		}
	}
	if found.Owner == h.have.Owner && found.Fence == h.have.Fence && found.State == h.have.State {
		h.have.Flags |= found.Flags & CancelAsked
		h.text = o.found
		if h.have.String() != o.found { // what was to be written is something else beside
			again = b.freshOp(h, o.found)
		}
		if found.Flags&CancelAsked != 0 {
			cause = ErrCanceled
		}
		return again, cause
	}
	if _, ours := confirm(found, h.have, h.have, h.trusted(), 0); ours {
		return b.freshOp(h, o.found), nil
	}
	return nil, ErrTakenOver
}
