package consumer

import "time"

// How many turns are begun before there is a slot for them? Asking Redis takes a moment, in which quick handlers would
// leave their slots idle; but what is begun and not started is withheld from other nodes, and shares the blame when the
// process dies. So a queue begins what it has free slots for, and what it is going to start within paceSpan at the pace at
// which slots came free in the last one: nothing for handlers that take seconds, a few hundred for those that take microseconds.

const (
	paceSpan = 20 * time.Millisecond
	maxAhead = 2000
)

// A pace is how fast a queue ends turns, and how many it has begun ahead.
type pace struct {
	asking int // turns that were begged for and not answered; those that are held and asked for again want no slot
	ahead  int // how many turns were to be begun ahead when that was last considered
	ends   int // since since
	since  time.Time
	last   int // ends in a whole span before
}

// consider returns how many turns should be begun ahead now.
func (p *pace) consider(now time.Time, free int) int {
	if spent := now.Sub(p.since); spent >= paceSpan {
		p.last = int(float64(p.ends) * float64(paceSpan) / float64(spent))
		p.ends, p.since = 0, now
	}
	p.ahead = min(max(free, 0)+max(p.last, p.ends), maxAhead)
	return p.ahead
}

// wish begs for the claims of turns as long as a queue wants more, and says whether it gave up s.mu, which is held,
// meanwhile. One goroutine begs at a time: what others make ready meanwhile it finds before it ends.
func (s *slots) wish() (did bool) {
	if s.beg == nil || s.begging || s.stopped {
		return false
	}
	for !s.stopped {
		var turns []*turn
		var of *share
		for _, q := range s.queues {
			if turns = s.wanted(q); len(turns) > 0 {
				of = q
				break
			}
		}
		if of == nil {
			return did
		}
		s.begging, did = true, true
		s.mu.Unlock()
		s.beg(of, turns)
		s.mu.Lock()
		s.begging = false
	}
	return did
}

// wanted takes the turns that should be begun now from those that are ready: none until half of what was begun ahead has
// been used up, so that they are asked for in batches; and none while one turn has all slots, so that another node can have
// them.
func (s *slots) wanted(q *share) []*turn {
	have := q.pace.asking + q.won.len()
	if q.ready.len() == 0 || q.held || s.lone || have > q.pace.ahead/2 {
		return nil
	}
	free := min(q.limit-q.running, s.size-s.running)
	n := min(q.pace.consider(time.Now(), free)-have, q.ready.len())
	if n <= 0 {
		return nil
	}
	turns := make([]*turn, n)
	for i := range turns {
		turns[i] = q.ready.pop()
		turns[i].begged = true
	}
	q.pace.asking += n
	return turns
}

// answered notes that n begins of a queue have been answered, after those of them that were won have come through win.
func (s *slots) answered(q *share, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q.pace.asking -= n
	s.wish()
}
