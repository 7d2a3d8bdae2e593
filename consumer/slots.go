package consumer

import (
	"math"
	"sync"
	"time"
)

// slots hands turns to the goroutines that run handlers, as many as the node's concurrency. The queues share them by
// weight while they compete (stride scheduling: the queue that has used least of its share goes first), and one slot per
// other queue stays out of any queue's reach, so that a queue whose handlers are all stuck can't take the last.
//
// With claims a turn comes twice: it is ready first, waiting to be begun, and may start once it was won. See ahead.go for
// how many are begun at a time.
type slots struct {
	mu      sync.Mutex
	wake    sync.Cond
	size    int
	running int // turns in slots
	idle    int // goroutines waiting in next
	queues  []*share
	now     float64 // virtual time: the pass of the queue served last
	stopped bool

	// beg, if not nil, asks for the claims of turns; their answers come through win and answered. begging says that
	// somebody is at it.
	beg     func(q *share, turns []*turn)
	begging bool

	// lone is set while a turn has, or waits for, all slots.
	lone bool
}

// A share is what one queue has of the slots.
type share struct {
	weight  int
	limit   int // most turns that run at once
	ready   fifo
	won     fifo // with claims: what may start
	running int
	held    bool    // paused: nothing of it is begun or started
	pass    float64 // virtual time used: grows by 1/weight with every turn handed out
	pace    pace
}

func newSlots(size int, weights []int) (*slots, []*share) {
	s := &slots{size: size}
	s.wake.L = &s.mu
	for _, w := range weights {
		s.queues = append(s.queues, &share{weight: w, limit: max(1, size-len(weights)+1)})
	}
	return s, s.queues
}

// served is where a queue's turns start from.
func (s *slots) served(q *share) *fifo {
	if s.beg != nil {
		return &q.won
	}
	return &q.ready
}

// push makes turns of one queue ready, in this order. It refuses them when the slots are stopped.
func (s *slots) push(q *share, turns ...*turn) bool {
	if len(turns) == 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	if s.beg == nil {
		s.serve(q, &q.ready, turns)
		return true
	}
	q.ready.push(turns)
	s.wish()
	return true
}

// win lets turns start that were begun, in this order. It refuses them when the slots are stopped.
func (s *slots) win(q *share, turns ...*turn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.serve(q, s.served(q), turns)
	return true
}

// serve adds turns that may start; s.mu is held.
func (s *slots) serve(q *share, to *fifo, turns []*turn) {
	if to.len() == 0 {
		q.pass = max(q.pass, s.now) // a queue that was idle has saved nothing up
	}
	to.push(turns)
	s.rouse()
}

// next frees the slot of the turn of queue done (nil at first) and waits for the next turn that may start. It returns nil
// when the slots are stopped.
func (s *slots) next(done *share) *turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if done != nil {
		s.leave(done)
	}
	for {
		if s.stopped {
			return nil
		}
		if q := s.choose(); q != nil {
			q.running++
			s.running++
			s.now = max(s.now, q.pass)
			q.pass += 1 / float64(q.weight)
			t := s.served(q).pop()
			s.rouse()
			s.wish()
			return t
		}
		if s.wish() {
			continue // the lock was given up meanwhile
		}
		s.idle++
		s.wake.Wait()
		s.idle--
	}
}

// free gives a slot back without asking for another turn.
func (s *slots) free(done *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave(done)
	s.rouse()
}

// leave gives a slot back. A queue that was at its limit has saved nothing up either; s.mu is held.
func (s *slots) leave(done *share) {
	if done.running == done.limit {
		done.pass = max(done.pass, s.now)
	}
	done.running--
	done.pace.ends++
	s.running--
	if s.lone {
		s.wake.Broadcast()
	}
}

func (s *slots) choose() *share {
	if s.lone {
		return nil
	}
	var best *share
	for _, q := range s.queues {
		if !q.held && s.served(q).len() > 0 && q.running < q.limit && (best == nil || q.pass < best.pass) {
			best = q
		}
	}
	return best
}

// rouse wakes one idle goroutine if it would find a turn. Each one that finds a turn wakes the next: quick handlers are
// served by the few goroutines that are awake already, and slow ones fill all slots within microseconds.
func (s *slots) rouse() {
	if s.idle > 0 && s.choose() != nil {
		s.wake.Signal()
	}
}

// lonePatience is how long a turn that must run alone keeps others from starting until it does.
const lonePatience = 10 * time.Second

// alone waits, in the slot of a turn, until no other turn runs, and lets none start until together is called. It returns
// false when that takes too long, another turn is at the same, or the slots are stopped.
func (s *slots) alone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lone {
		return false
	}
	s.lone = true
	late := false
	timer := time.AfterFunc(lonePatience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.wake.Broadcast()
	})
	defer timer.Stop()
	for s.running > 1 && !late && !s.stopped {
		s.wake.Wait()
	}
	if s.running > 1 || s.stopped {
		s.lone = false
		s.wake.Broadcast()
		return false
	}
	return true
}

// together lets others start again.
func (s *slots) together() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lone = false
	s.wake.Broadcast()
}

// drop removes the turns of a partition that have not started and returns them.
func (s *slots) drop(q *share, p *partition) []*turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	ours := func(t *turn) bool { return t.part == p }
	return append(q.ready.remove(ours), q.won.remove(ours)...)
}

// stop lets no further turn start, every next returns nil, and returns those that were won: their claims are to be
// released.
func (s *slots) stop() (won []*turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for _, q := range s.queues {
		won = append(won, q.won.remove(func(*turn) bool { return true })...)
	}
	s.wake.Broadcast()
	return won
}

// spare returns how many slots a queue could have at once, and how many of its turns wait. While none may start, it could
// have none.
func (s *slots) spare(q *share) (free, ready int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped && !s.lone && !q.held {
		free = min(q.limit-q.running, s.size-s.running)
	}
	return free, q.ready.len() + q.won.len() + q.pace.asking
}

// oldest is when the turn was polled that has been ready for longest.
func (s *slots) oldest(q *share) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.ready.len() == 0 {
		return math.MaxInt64
	}
	return q.ready.peek().since
}

// take removes up to n turns that are ready and not begun, and were polled before a time.
func (s *slots) take(q *share, n int, before time.Duration) (turns []*turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(turns) < n && q.ready.len() > 0 && q.ready.peek().since < before {
		turns = append(turns, q.ready.pop())
	}
	return turns
}

// stranded takes the turns that were won before a time and find no slot: handlers that take long have all of them, or one
// turn has its node for itself.
func (s *slots) stranded(q *share, before time.Duration) (turns []*turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || !q.held && s.choose() != nil {
		return nil
	}
	for q.won.len() > 0 && q.won.peek().wonAt < before {
		turns = append(turns, q.won.pop())
	}
	return turns
}

// hold lets nothing of a queue start, or lets it go on. It says whether that is a change.
func (s *slots) hold(q *share, held bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.held == held {
		return false
	}
	q.held = held
	if !held {
		q.pass = max(q.pass, s.now)
		s.wish()
		s.wake.Broadcast()
	}
	return true
}

// isHeld says whether a queue is paused.
func (s *slots) isHeld(q *share) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return q.held
}

// recall takes turns back from those that are ready which were let through their gates before a time.
func (s *slots) recall(q *share, before time.Duration) []*turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return q.ready.remove(func(t *turn) bool { return t.ticket != nil && t.ticket.since < before })
}

// back makes turns ready again that were given back, or have waited elsewhere, in front of all others. It refuses them when the slots are stopped.
func (s *slots) back(q *share, turns ...*turn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	if s.beg == nil {
		if q.ready.len() == 0 {
			q.pass = max(q.pass, s.now)
		}
		q.ready.unshift(turns)
		s.rouse()
		return true
	}
	q.ready.unshift(turns)
	s.wish()
	return true
}

// load returns how many turns of a queue wait for a slot and run.
func (s *slots) load(q *share) (ready, running int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return q.ready.len() + q.won.len() + q.pace.asking, q.running
}
