package limit

import (
	"time"

	"github.com/tasktier/tasktier/coord/lease"
)

// A kind is what this node has and wants of one type. It is guarded by the limiter's lock.
type kind struct {
	limit  Limit // N is 0 without one
	want   int
	places []*place

	// What the last look at etcd says.
	hungry  int  // who waits beyond those that free slots and slots on their way back will do for
	owed    int  // slots that this node has to give to such that have fewer
	beyond  bool // somebody has a slot that the limit does not have
	waiting bool // our ticket is there

	content time.Time // since when it is there although nothing is missing; zero: it is not so
	until   time.Time // no slot is asked for before
	stale   bool      // because the limit known here does not count any more
}

// A place is a slot that this node has.
type place struct {
	slot  *lease.Slot
	since time.Time // it has it
	idle  time.Time // since when no task has it; zero while one does
	state state
}

type state int

const (
	idle state = iota
	used
	leaving // being given back
	void    // used, and its key is gone
)

// held counts the slots that are here to stay or at work.
func (k *kind) held() int {
	n := 0
	for _, p := range k.places {
		if p.state != leaving {
			n++
		}
	}
	return n
}

func (k *kind) inUse() int {
	n := 0
	for _, p := range k.places {
		if p.state == used || p.state == void {
			n++
		}
	}
	return n
}

// missing is how many slots more this node could use; less than nothing when it has more than that.
func (k *kind) missing() int { return min(k.want, k.limit.N) - k.held() }

// over says that nothing is left to do for the type.
func (k *kind) over() bool {
	return len(k.places) == 0 && !k.waiting && (k.limit.N == 0 || k.want == 0)
}

// review decides whether an idle place stays; if not it is leaving. Else it returns when to ask again, zero for not before
// something changes.
func (k *kind) review(p *place, now time.Time, fair, linger time.Duration) (again time.Time) {
	surplus := k.missing() < 0
	fairly, lingered := p.since.Add(fair), p.idle.Add(linger)
	switch {
	case p.slot.Number >= k.limit.N:
	case k.owed > 0 && !now.Before(fairly):
	case surplus && k.hungry > 0:
	case surplus && !now.Before(lingered):
	case surplus:
		return lingered
	case k.owed > 0:
		return fairly
	default:
		return time.Time{}
	}
	p.state = leaving
	k.owed, k.hungry = max(0, k.owed-1), max(0, k.hungry-1)
	return time.Time{}
}

// settle takes over what etcd has of the type. It returns true when there is a slot to take that was not there before, and
// the slots that somebody deleted while this node had them.
func (k *kind) settle(typ string, s *seats, l *lease.Lease, now time.Time) (news bool, lost []*lease.Slot) {
	known := make(map[int]bool)
	var places []*place
	for _, p := range k.places {
		e, there := s.slots[p.slot.Number]
		there = there && e.token == p.slot.Token
		switch {
		case there:
			known[p.slot.Number] = true
			places = append(places, p)
		case p.state == void:
			places = append(places, p)
		case p.state == used:
			p.state = void
			places, lost = append(places, p), append(lost, p.slot)
		case p.state == idle:
			lost = append(lost, p.slot)
		}
	}
	k.places = places
	for number, e := range s.slots {
		if e.ours && !known[number] {
			k.add(&lease.Slot{Type: typ, Number: number, Token: e.token, Lease: l}, now)
			news = true
		}
	}
	k.weigh(s, l.ID())
	before := k.beyond
	_, k.beyond = s.count(k.limit.N)
	return news || before && !k.beyond, lost
}

func (k *kind) add(slot *lease.Slot, now time.Time) {
	k.places = append(k.places, &place{slot: slot, since: now, idle: now})
}

// weigh compares what this node has with what others wait for.
func (k *kind) weigh(s *seats, session string) {
	free, _ := s.count(k.limit.N)
	for _, p := range k.places {
		if p.state == leaving {
			free++ // soon
		}
	}
	held, have := s.held(), k.held()
	k.owed, k.hungry = 0, 0
	for _, e := range s.waiting() {
		switch {
		case e.Session == session:
		case free > 0:
			free--
		default:
			k.hungry++
			if held[e.Session] < have {
				k.owed++
				have--
			}
		}
	}
	_, k.waiting = s.line[session]
}
