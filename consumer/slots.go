package consumer

import "sync"

// slots hands ready turns to the goroutines that run handlers, as many as the node's concurrency. The queues share
// them by weight while they compete (stride scheduling: the queue that has used least of its share goes first), and one
// slot per other queue stays out of any queue's reach, so that a queue whose handlers are all stuck can't take the last.
type slots struct {
	mu      sync.Mutex
	wake    sync.Cond
	idle    int // goroutines waiting in next
	queues  []*share
	now     float64 // virtual time: the pass of the queue served last
	stopped bool
}

// A share is what one queue has of the slots.
type share struct {
	weight  int
	limit   int // most turns that run at once
	ready   fifo
	running int
	pass    float64 // virtual time used: grows by 1/weight with every turn handed out
}

func newSlots(size int, weights []int) (*slots, []*share) {
	s := &slots{}
	s.wake.L = &s.mu
	for _, w := range weights {
		s.queues = append(s.queues, &share{weight: w, limit: max(1, size-len(weights)+1)})
	}
	return s, s.queues
}

// push makes turns of one queue ready, in this order.
func (s *slots) push(q *share, turns ...*turn) {
	if len(turns) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	if q.ready.len() == 0 {
		q.pass = max(q.pass, s.now) // a queue that was idle has saved nothing up
	}
	q.ready.push(turns)
	s.rouse()
}

// next frees the slot of the turn of queue done (nil at first) and waits for the next ready turn. It returns nil when
// the slots are stopped.
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
			s.now = max(s.now, q.pass)
			q.pass += 1 / float64(q.weight)
			t := q.ready.pop()
			s.rouse()
			return t
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
}

func (s *slots) choose() *share {
	var best *share
	for _, q := range s.queues {
		if q.ready.len() > 0 && q.running < q.limit && (best == nil || q.pass < best.pass) {
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

// drop removes the ready turns of a partition and returns them.
func (s *slots) drop(q *share, p *partition) []*turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return q.ready.remove(func(t *turn) bool { return t.part == p })
}

// stop lets no further turn start: every next returns nil.
func (s *slots) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.wake.Broadcast()
}

// load returns how many turns of a queue are ready and running.
func (s *slots) load(q *share) (ready, running int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return q.ready.len(), q.running
}

// A fifo is a queue of turns in a ring whose length is a power of two.
type fifo struct {
	ring       []*turn
	head, tail uint64
}

func (f *fifo) len() int { return int(f.tail - f.head) }

func (f *fifo) push(turns []*turn) {
	if need := f.len() + len(turns); need > len(f.ring) {
		size := max(64, len(f.ring))
		for size < need {
			size *= 2
		}
		ring := make([]*turn, size)
		n := uint64(f.len())
		for i := range n {
			ring[i] = f.ring[(f.head+i)&uint64(len(f.ring)-1)]
		}
		f.ring, f.head, f.tail = ring, 0, n
	}
	for _, t := range turns {
		f.ring[f.tail&uint64(len(f.ring)-1)] = t
		f.tail++
	}
}

func (f *fifo) pop() *turn {
	i := f.head & uint64(len(f.ring)-1)
	t := f.ring[i]
	f.ring[i] = nil
	f.head++
	return t
}

func (f *fifo) remove(match func(*turn) bool) (removed []*turn) {
	for range f.len() {
		if t := f.pop(); match(t) {
			removed = append(removed, t)
		} else {
			f.push([]*turn{t})
		}
	}
	return removed
}
