package consumer

import (
	"time"

	"github.com/tasktier/tasktier/coord/lease"
)

// A gate is that of one type, once one has stood there. It belongs to the lock of gates.
type gate struct {
	typ    string
	queues []*standing   // of each of the consumer's queues
	inside int           // turns that were let through and have not ended
	lasts  time.Duration // how long a turn is at work, smoothed; 0: none has been
	absent absent        // turns that were put off here and are not due yet
	still  time.Duration // since when none was let through although some wait
}

// standing is the part of one queue in a gate.
type standing struct {
	queue  *queue
	turns  fifo
	coming int           // turns that were let through and have not started
	shut   time.Duration // nothing is let through before
}

// A ticket is what a turn has while its type is limited or paused: it stands at the gate, or has been let through.
type ticket struct {
	gate  *gate
	of    *standing
	slot  *lease.Slot   // its type's slot, if that is limited
	since time.Duration // when it came to the gate, was let through, or started
	stage stage
}

type stage uint8

const (
	stands stage = iota
	comes        // let through, on its way to start
	started
)

func (g *gate) of(q *queue) *standing {
	for _, of := range g.queues {
		if of.queue == q {
			return of
		}
	}
	return nil // no queue is added
}

// waiting counts those that stand; s.mu is held.
func (g *gate) waiting() (n int) {
	for _, of := range g.queues {
		n += of.turns.len()
	}
	return n
}

// slotLost says whether the session is over that has the slot of the turn's type.
func (t *turn) slotLost() bool {
	return t.ticket != nil && t.ticket.slot != nil && !t.ticket.slot.Lease.Trusted()
}

// token is the fencing token of the turn's slot, 0 if it has none.
func (t *turn) token() int64 {
	if t.ticket == nil || t.ticket.slot == nil {
		return 0
	}
	return t.ticket.slot.Token
}
