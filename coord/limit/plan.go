package limit

import (
	"math/rand/v2"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
)

// A step is one thing to do for a type in etcd. All are conditional: a step that comes too late does nothing.
type step struct {
	typ    string
	do     verb
	number int   // of a slot
	token  int64 // of the slot to give, or of the ticket to tear or to use up
	limit  Limit // under which a slot is taken
}

type verb int

const (
	give   verb = iota // delete our slot
	tear               // delete our ticket
	take               // a slot, with nobody waiting
	redeem             // take a slot for our ticket
	stand              // write a ticket
)

// removes says whether a step only deletes, as can be done when etcd's quota is full.
func (s step) removes() bool { return s.do == give || s.do == tear }

const (
	again = 250 * time.Millisecond // after a slot was not to be had, unless something changes before
	stray = 2 * time.Second        // out of the line, when the limit known here does not count
)

// plan decides what to do for a type, and when to ask again at the latest, zero for when something changes. It is a function of what
// is known here and what etcd has, which settle has brought in line.
func (k *kind) plan(typ string, s *seats, session string, now time.Time, fair, linger time.Duration) (steps []step, alarm time.Time) {
	for _, p := range k.places {
		if p.state == idle {
			alarm = sooner(alarm, k.review(p, now, fair, linger))
		}
		if p.state == leaving {
			steps = append(steps, step{typ: typ, do: give, number: p.slot.Number, token: p.slot.Token})
		}
	}
	if k.stale && !now.Before(k.until) {
		k.stale = false
	}
	ticket, waits := s.line[session]
	missing := k.missing()
	switch {
	case !waits || missing > 0:
		k.content = time.Time{}
	case k.content.IsZero():
		k.content = now
	}
	switch {
	case waits && !ticket.ours: // another limiter's on this session; not ours to touch
	case missing <= 0 && !k.stale && waits && k.keepsTicket(s, now, linger):
		alarm = sooner(alarm, k.content.Add(linger))
	case missing <= 0 || k.stale:
		if waits {
			steps = append(steps, step{typ: typ, do: tear, token: ticket.token})
		}
		if k.stale {
			alarm = sooner(alarm, k.until)
		}
	case now.Before(k.until):
		alarm = sooner(alarm, k.until)
	default:
		steps = append(steps, k.obtain(typ, s, ticket, missing)...)
	}
	return steps, alarm
}

// keepsTicket says whether this node stays in line although it has as many slots as it wants now: it is at work, and what a
// busy node wants changes from one task to the next. Not when that would keep a slot that is free from others.
func (k *kind) keepsTicket(s *seats, now time.Time, linger time.Duration) bool {
	free, _ := s.count(k.limit.N)
	return k.limit.N > 0 && k.want > 0 && free == 0 && now.Sub(k.content) < linger
}

// obtain is how to come to slots that are missing: take them, or wait for them in line.
func (k *kind) obtain(typ string, s *seats, ticket entry, missing int) []step {
	free, beyond := s.count(k.limit.N)
	switch {
	case ticket.ours:
		ahead := 0
		for _, e := range s.waiting() {
			if e.Session == ticket.Session {
				break
			}
			ahead++
		}
		if beyond || ahead >= free {
			return nil
		}
		// Who is further ahead takes a lower one, so that they do not meet.
		return []step{{typ: typ, do: redeem, number: s.free(k.limit.N, ahead+1)[ahead], token: ticket.token, limit: k.limit}}
	case len(s.line) > 0 || free == 0 || beyond:
		return []step{{typ: typ, do: stand}}
	}
	// Others may be about to take some of them too.
	numbers := s.free(k.limit.N, 4*missing)
	rand.Shuffle(len(numbers), func(i, j int) { numbers[i], numbers[j] = numbers[j], numbers[i] })
	var steps []step
	for _, number := range numbers[:min(missing, len(numbers))] {
		steps = append(steps, step{typ: typ, do: take, number: number, limit: k.limit})
	}
	return steps
}

// done takes over what has become of a step, if that was not to delete: those are seen to be done by the watch. It returns
// true for a slot that was taken.
func (k *kind) done(s step, what outcome, l *lease.Lease, revision int64, now time.Time) bool {
	switch {
	case s.removes():
	case what == written && s.do != stand:
		k.add(&lease.Slot{Type: s.typ, Number: s.number, Token: revision, Lease: l}, now)
		return true
	case what == refused:
		k.until = now.Add(again)
	case what == outdated && k.limit == s.limit:
		k.stale, k.until = true, now.Add(stray)
	}
	return false
}

// sooner is the earlier of two times, of which zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
