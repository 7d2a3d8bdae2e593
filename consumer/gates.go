package consumer

import (
	"sync"
	"sync/atomic"
	"time"
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
		switch rule, ruled := s.rule(t); {
		case !ruled:
			through = append(through, t)
		case s.stopped || t.part.isClosed():
			dropped = append(dropped, t)
		case !s.stand(q, t, rule):
			over = append(over, t)
		default:
			touched[t.task.Type] = true
		}
	}
	s.mu.Unlock()
	q.drop(dropped...)
	s.putOff(q, over)
	for typ := range touched {
		s.open(typ)
	}
	return through
}

// stand lets a turn stand at its gate. It returns false when a quarter of the queue's window stands at gates already; but a
// limited type has a small part for itself, for as many as could start at once and some more, up to half of the window in
// all: a type with a backlog must not keep others from their slots. s.mu is held.
func (s *gates) stand(q *queue, t *turn, rule Rule) bool {
	g := s.gate(t.task.Type)
	of := g.of(q)
	quarter, bytes := max(q.window.maxCount/4, 1), q.window.maxBytes/4
	full := q.standing >= quarter || q.standingBytes+t.bytes > max(bytes, t.bytes)
	own := !rule.Paused && of.turns.len() < max(min(rule.Limit, s.room(q)), quarter/8) && q.standing < 2*quarter && q.standingBytes < 2*bytes
	if full && !own && !q.Ordered && !t.rooted {
		return false
	}
	now := s.consumer.uptime()
	if g.waiting() == 0 && g.absent.look(now) == 0 {
		g.still = now
	}
	q.standing++
	q.standingBytes += t.bytes
	if t.stood == 0 {
		t.stood = now
	}
	t.ticket = &ticket{gate: g, of: of, since: t.stood}
	of.turns.push([]*turn{t})
	return true
}

// gate is that of a type; s.mu is held.
func (s *gates) gate(typ string) *gate {
	g := s.byType[typ]
	if g == nil {
		g = &gate{typ: typ}
		for _, q := range s.consumer.queues {
			g.queues = append(g.queues, &standing{queue: q})
		}
		s.byType[typ] = g
	}
	return g
}

// next is the queue of the turn that has stood for longest and would find room if it had a slot of its type; s.mu is held.
func (s *gates) next(g *gate, now time.Duration) *standing {
	var first *standing
	for _, of := range g.queues {
		if of.turns.len() == 0 || now < of.shut || s.consumer.slots.isHeld(of.queue.share) || of.coming >= s.room(of.queue) {
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
	through := make(map[*queue][]*turn)
	if rule == (Rule{}) { // whatever stands there goes on
		for _, of := range g.queues {
			for of.turns.len() > 0 {
				t := s.pop(of)
				t.ticket = nil
				through[of.queue] = append(through[of.queue], t)
			}
		}
	}
	for !s.stopped && rule.Limit > 0 && !rule.Paused {
		from := s.next(g, now)
		if from == nil {
			break
		}
		s.want(g, rule)
		slot, ok := s.consumer.cfg.Limits.Take(typ)
		if !ok {
			break
		}
		t := s.pop(from)
		t.ticket.slot, t.ticket.stage, t.ticket.since = slot, comes, now
		g.inside++
		g.still = now
		from.coming++
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

// pop takes the turn that has stood for longest from a gate; s.mu is held.
func (s *gates) pop(from *standing) *turn {
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
		if from := s.next(g, s.consumer.uptime()); from != nil && !rule.Paused && !s.stopped {
			n += min(g.waiting(), s.room(from.queue)-from.coming)
		}
	}
	s.consumer.cfg.Limits.Want(g.typ, n)
}

// mayStart says whether a turn at work may start its handler by what is said of its type now.
func (s *gates) mayStart(t *turn) bool {
	r, ruled := s.rule(t)
	if ruled && (r.Paused || r.Limit > 0 && (t.ticket == nil || t.ticket.slot == nil || !t.ticket.slot.Lease.Trusted())) {
		return false
	}
	if t.ticket != nil {
		s.mu.Lock()
		t.ticket.of.coming--
		t.ticket.stage, t.ticket.since = started, s.consumer.uptime()
		s.mu.Unlock()
		s.open(t.ticket.gate.typ) // another one may come
	}
	t.stood = 0
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
		lasted := s.consumer.uptime() - k.since
		if g.lasts == 0 {
			g.lasts = lasted
		}
		g.lasts += (lasted - g.lasts) / 8
	case comes:
		g.inside--
		k.of.coming--
	}
	s.mu.Unlock()
	if k.slot != nil {
		s.consumer.cfg.Limits.Release(k.slot)
	}
	s.open(g.typ)
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
		if q.Ordered {
			continue
		}
		for _, t := range g.of(q).turns.remove(func(t *turn) bool { return !t.rooted && t.ticket.since < now-maxStanding }) {
			s.left(q, t)
			over = append(over, t)
		}
	}
	s.mu.Unlock()
	if len(types) == 0 {
		return
	}
	s.putOff(q, over)
	for _, t := range s.consumer.slots.recall(q.share, now-keepWon) {
		s.shun(t)
		s.consumer.ready(q, t)
	}
	for _, typ := range types {
		s.open(typ)
	}
}

// shun shuts the gate of a turn to its queue for a while, because it finds no slot on this node, and takes its ticket back.
func (s *gates) shun(t *turn) {
	s.mu.Lock()
	t.ticket.of.shut = s.consumer.uptime() + shun
	s.mu.Unlock()
	s.leave(t)
}

// drop removes the turns of a partition and returns them.
func (s *gates) drop(q *queue, p *partition) (dropped []*turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.byType {
		for _, t := range g.of(q).turns.remove(func(t *turn) bool { return t.part == p }) {
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
