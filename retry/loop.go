package retry

import (
	"context"
	"errors"
	"time"

	"github.com/tasktier/tasktier/task"
)

// loop owns the slots. Nothing in it waits, but for room in the producer's buffer.
func (f *Forwarder) loop(ctx context.Context) {
	defer close(f.ended)
	wake := time.NewTimer(0)
	defer wake.Stop()
	for {
		reads := f.reads
		if f.full() {
			reads = nil
			wake.Reset(fullPause)
		}
		select {
		case <-ctx.Done():
			f.abandon()
			return
		case call := <-f.calls:
			call()
		case r := <-reads:
			f.admit(r)
		case <-f.acked:
			f.settle()
		case <-wake.C:
		}
		now := time.Now()
		if now.Before(f.reviewed) || !now.Before(f.reviewAt) {
			f.review(now)
		}
		next := min(f.forward(), max(time.Until(f.reviewAt), 0))
		if !f.commitAt.IsZero() {
			if until := time.Until(f.commitAt); until <= 0 {
				f.commitInBackground()
			} else {
				next = min(next, until)
			}
		}
		wake.Reset(next)
	}
}

// touch notes that a slot has something to commit: soon, together with what else comes until then.
func (f *Forwarder) touch(s *slot) {
	s.dirty = true
	if f.commitAt.IsZero() {
		f.commitAt = time.Now().Add(commitEvery)
	}
}

// forward produces what is due and returns how long nothing else will be.
func (f *Forwarder) forward() time.Duration {
	next := time.Minute
	for _, s := range f.opened {
		if s.leaving {
			continue
		}
		for n := 0; ; n++ {
			top := s.opening.wait.top()
			if top == nil {
				break
			}
			// The wall clock, not a timer, says when a task is due.
			if ahead := top.due - time.Now().Add(s.early()).UnixMilli(); ahead > 0 {
				next = min(next, time.Duration(ahead)*time.Millisecond)
				break
			}
			if n == burst {
				next = 0
				break
			}
			if f.full() {
				return min(next, fullPause)
			}
			f.bytes -= top.bytes
			f.launch(s.opening, s.opening.wait.pop())
		}
	}
	return next
}

// settle finishes what was acknowledged.
func (f *Forwarder) settle() {
	f.ackMu.Lock()
	acks := f.acks
	f.acks = nil
	f.ackMu.Unlock()
	for _, a := range acks {
		if !a.opening.flying[a.item] {
			continue // its partition was taken away meanwhile
		}
		delete(a.opening.flying, a.item)
		f.flying -= a.item.bytes
		switch {
		case a.err == nil:
			a.opening.tracker.Finish(a.item.place)
			f.touch(a.opening.slot)
		case errors.Is(a.err, ErrTooLarge):
			f.bury(a.opening, a.item, task.ReasonOversize, a.err)
		case a.instead != nil && f.writing.Err() == nil:
			a.instead()
		}
		if a.opening.more() {
			f.reviewAt = time.Time{}
		}
	}
	f.checkLeaving()
}

// abandon drops everything: the loop ends.
func (f *Forwarder) abandon() {
	for _, s := range f.slots {
		f.closeOpening(s)
	}
	clear(f.slots)
}
