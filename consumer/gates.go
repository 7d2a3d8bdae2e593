package consumer

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
)

// Turns whose type is paused, or runs only so many times at once in the cluster, stand at a gate before they go to the
// slots: there they take no slot and have no claim, so that they delay nobody else. A gate lets a turn through when its
// type has a slot in the cluster for it (see [Limits]), to the front of those that are ready, because it has waited already.
// From then on until its handler has returned, the slot is the turn's.
//
// Few stand at gates: what finds them full, and what has stood there for long, is put off through the retry tiers, by a
// copy as in rehome.go, and its offset is complete. In ordered queues, where a copy would lose its place, all of them stand.

const (
	// maxStanding is for how long a turn stands at a gate. It holds its partition's watermark back, and another node may
	// have a slot for it.
	maxStanding = 30 * time.Second
	// minPutOff and maxPutOff bound for how long a turn is put off: about as long as those that stand here will take.
	minPutOff = 5 * time.Second
	maxPutOff = 5 * time.Minute
	// shun is for how long a gate lets nothing through after turns of its found no free slot on this node within keepWon:
	// others have use for the cluster's.
	shun = 5 * time.Second
)

// gates are those of a consumer. Its lock may be held when that of slots is taken, never the other way round.
type gates struct {
	consumer *Consumer
	rules    atomic.Pointer[map[string]Rule] // nil: there are none, and no turn looks any further

	mu      sync.Mutex
	byType  map[string]*gate
	stopped bool
}

// A gate is that of one type, once one has stood there. It belongs to the lock of gates.
type gate struct {
	typ    string
	queues []standing // of each of the consumer's queues
	inside int        // turns that were let through and have not ended
	coming int        // those of them that have not started
	shut   time.Duration
	lasts  time.Duration // how long a turn is inside, smoothed
}

// standing are the turns of one queue at a gate.
type standing struct {
	queue *queue
	turns fifo
}

// A ticket is what a turn has while its type is limited or paused: it stands at the gate, or has been let through.
type ticket struct {
	gate  *gate
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

func newGates(c *Consumer) *gates { return &gates{consumer: c, byType: make(map[string]*gate)} }

// rule is what is said of a turn's type; false if nothing is that concerns it. A type that has no handler here needs no
// slot: it is put off as unhandled.
func (s *gates) rule(t *turn) (Rule, bool) {
	rules := s.rules.Load()
	if rules == nil {
		return Rule{}, false
	}
	r, ok := (*rules)[t.task.Type]
	return r, ok && (r.Paused || s.consumer.cfg.Mux.route(t.task.Type) != nil)
}

// apply makes rules hold.
func (s *gates) apply(rules map[string]Rule) {
	s.rules.Store(&rules)
	if len(rules) == 0 {
		s.rules.Store(nil)
	}
	s.mu.Lock()
	all := make([]string, 0, len(s.byType))
	for typ := range s.byType {
		all = append(all, typ)
	}
	s.mu.Unlock()
	for _, typ := range all {
		s.open(typ)
	}
}

// admit returns those of a queue's turns that may go to the slots. The others stand at their gates, or are put off.
func (s *gates) admit(q *queue, turns []*turn) (through []*turn) {
	if s.rules.Load() == nil {
		return turns
	}
	through = turns[:0]
	var over, dropped []*turn
	touched := make(map[string]bool)
	s.mu.Lock()
	for _, t := range turns {
		switch _, ruled := s.rule(t); {
		case !ruled:
			through = append(through, t)
		case s.stopped:
			dropped = append(dropped, t)
		case !s.stand(q, t):
			over = append(over, t)
		default:
			touched[t.task.Type] = true
		}
	}
	s.mu.Unlock()
	q.drop(dropped...)
	for _, t := range over {
		s.putOff(t)
	}
	for typ := range touched {
		s.open(typ)
	}
	return through
}

// stand lets a turn stand at its gate. It returns false when a quarter of the queue's window stands at gates already; s.mu
// is held.
func (s *gates) stand(q *queue, t *turn) bool {
	full := q.standing >= max(q.window.maxCount/4, 1) || q.standingBytes+t.bytes > max(q.window.maxBytes/4, t.bytes)
	if full && !q.Ordered && !t.rooted {
		return false
	}
	q.standing++
	q.standingBytes += t.bytes
	g := s.gate(t.task.Type)
	t.ticket = &ticket{gate: g, since: s.consumer.uptime()}
	g.of(q).push([]*turn{t})
	return true
}

// gate is that of a type; s.mu is held.
func (s *gates) gate(typ string) *gate {
	g := s.byType[typ]
	if g == nil {
		g = &gate{typ: typ, lasts: time.Second}
		for _, q := range s.consumer.queues {
			g.queues = append(g.queues, standing{queue: q})
		}
		s.byType[typ] = g
	}
	return g
}

func (g *gate) of(q *queue) *fifo {
	for i := range g.queues {
		if g.queues[i].queue == q {
			return &g.queues[i].turns
		}
	}
	return nil // no queue is added
}

// waiting counts those that stand; s.mu is held.
func (g *gate) waiting() (n int) {
	for i := range g.queues {
		n += g.queues[i].turns.len()
	}
	return n
}

// next is the queue of the turn that has stood for longest and could start if it had a slot; s.mu is held.
func (s *gates) next(g *gate) *standing {
	var first *standing
	for i := range g.queues {
		of := &g.queues[i]
		if of.turns.len() == 0 || s.consumer.slots.isHeld(of.queue.share) {
			continue
		}
		if first == nil || of.turns.peek().ticket.since < first.turns.peek().ticket.since {
			first = of
		}
	}
	return first
}

// open lets turns through as long as there are slots for them, and says how many are wanted.
func (s *gates) open(typ string) {
	s.mu.Lock()
	g := s.byType[typ]
	if g == nil {
		s.mu.Unlock()
		return
	}
	var rule Rule
	if rules := s.rules.Load(); rules != nil {
		rule = (*rules)[typ]
	}
	now := s.consumer.uptime()
	free := rule == Rule{} // whatever stands there goes on
	through := make(map[*queue][]*turn)
	for !s.stopped && !rule.Paused && (free || now >= g.shut) {
		from := s.next(g)
		if from == nil || !free && g.coming >= s.room(from.queue) {
			break
		}
		var slot *lease.Slot
		if rule.Limit > 0 {
			s.want(g, rule)
			var ok bool
			if slot, ok = s.consumer.cfg.Limits.Take(typ); !ok {
				break
			}
		}
		t := s.away(from)
		if free {
			t.ticket = nil
		} else {
			t.ticket.slot, t.ticket.stage, t.ticket.since = slot, comes, now
			g.inside++
			g.coming++
		}
		through[from.queue] = append(through[from.queue], t)
	}
	s.want(g, rule)
	s.mu.Unlock()
	for q, turns := range through {
		if !s.consumer.slots.back(q.share, turns...) {
			q.drop(turns...)
		}
	}
}

// away takes the turn that has stood for longest from a gate; s.mu is held.
func (s *gates) away(from *standing) *turn {
	t := from.turns.pop()
	s.left(from.queue, t)
	return t
}

// left notes that a turn stands at its gate no longer; s.mu is held.
func (s *gates) left(q *queue, t *turn) {
	q.standing--
	q.standingBytes -= t.bytes
}

// room is how many turns of a queue may come at once: as many as find a free slot on this node, and one in any case, which
// will have the next.
func (s *gates) room(q *queue) int {
	free, _ := s.consumer.slots.spare(q.share)
	return max(free, 1)
}

// want says how many slots of a type are of use here; s.mu is held.
func (s *gates) want(g *gate, rule Rule) {
	if s.consumer.cfg.Limits == nil {
		return
	}
	n := 0
	if rule.Limit > 0 {
		n = g.inside
		if from := s.next(g); from != nil && !rule.Paused && !s.stopped && s.consumer.uptime() >= g.shut {
			n += min(g.waiting(), max(s.room(from.queue)-g.coming, 0))
		}
	}
	s.consumer.cfg.Limits.Want(g.typ, n)
}

// mayStart says whether a turn at work may start its handler by what is said of its type now.
func (s *gates) mayStart(t *turn) bool {
	r, ruled := s.rule(t)
	switch {
	case !ruled:
		return true
	case r.Paused, r.Limit > 0 && (t.ticket == nil || t.ticket.slot == nil || !t.ticket.slot.Lease.Trusted()):
		return false
	}
	if t.ticket != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		t.ticket.gate.coming--
		t.ticket.stage, t.ticket.since = started, s.consumer.uptime()
	}
	return true
}

// leave gives back the slot of a turn whose handler has returned, or that will not start now.
func (s *gates) leave(t *turn) {
	k := t.ticket
	if k == nil {
		return
	}
	t.ticket = nil
	g := k.gate
	s.mu.Lock()
	switch k.stage {
	case stands: // it was taken from there
	case started:
		g.inside--
		g.lasts += (s.consumer.uptime() - k.since - g.lasts) / 8
	case comes:
		g.inside--
		g.coming--
	}
	s.mu.Unlock()
	if k.slot != nil {
		s.consumer.cfg.Limits.Release(k.slot)
	}
	s.open(g.typ)
}

// putOff hands a turn on that can't stand here. It comes back as it is.
func (s *gates) putOff(t *turn) {
	q := t.part.queue
	if t.replaced() || !t.part.start() {
		q.drop(t)
		return
	}
	s.consumer.settle(t, outcome{kind: defers, delay: s.pause(t.task.Type)})
}

// pause is for how long a turn of a type is put off.
func (s *gates) pause(typ string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := time.Duration(0)
	if g := s.byType[typ]; g != nil {
		d = g.lasts * time.Duration(g.waiting()) / time.Duration(max(g.inside, 1))
	}
	if r := s.rules.Load(); r != nil && (*r)[typ].Paused {
		d = max(d, time.Minute)
	}
	d = min(max(d, minPutOff), maxPutOff)
	return d/2 + rand.N(d/2)
}

// tend puts off what has stood at gates for too long, takes back what was let through and found no slot, and looks whether
// others may go on. It is called once a second.
func (s *gates) tend(q *queue) {
	now := s.consumer.uptime()
	var over []*turn
	s.mu.Lock()
	types := make([]string, 0, len(s.byType))
	for typ, g := range s.byType {
		types = append(types, typ)
		of := g.of(q)
		for !q.Ordered && of.len() > 0 && !of.peek().rooted && of.peek().ticket.since < now-maxStanding {
			t := of.pop()
			s.left(q, t)
			over = append(over, t)
		}
	}
	s.mu.Unlock()
	if len(types) == 0 {
		return
	}
	for _, t := range over {
		s.putOff(t)
	}
	for _, t := range s.consumer.slots.recall(q.share, now-keepWon) {
		s.shun(t)
		s.consumer.ready(q, t)
	}
	for _, typ := range types {
		s.open(typ)
	}
}

// shun shuts the gate of a turn for a while, for which it finds no slot on this node, and takes its ticket back.
func (s *gates) shun(t *turn) {
	s.mu.Lock()
	t.ticket.gate.shut = s.consumer.uptime() + shun
	s.mu.Unlock()
	s.leave(t)
}

// drop removes the turns of a partition and returns them.
func (s *gates) drop(q *queue, p *partition) (dropped []*turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.byType {
		for _, t := range g.of(q).remove(func(t *turn) bool { return t.part == p }) {
			s.left(q, t)
			dropped = append(dropped, t)
		}
	}
	return dropped
}

// stop lets nothing through any more.
func (s *gates) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for _, g := range s.byType {
		s.want(g, Rule{Limit: 1})
	}
}

// load counts the turns of a queue that stand at gates.
func (s *gates) load(q *queue) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return q.standing
}

// slotLost says whether the session is over that has the slot of the turn's type.
func (t *turn) slotLost() bool {
	return t.ticket != nil && t.ticket.slot != nil && !t.ticket.slot.Lease.Trusted()
}
