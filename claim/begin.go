package claim

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

// Begin asks whether turns may run. Decided is told, once for each; while this process has no session, that waits for one.
// A hold may be begun again after any verdict but Run and Bury, and after a result that was lost or a release.
func (b *Book) Begin(holds ...*Hold) {
	session := b.session()
	now := time.Now()
	ops := make([]*op, 0, len(holds))
	var l *lot
	for _, h := range holds {
		if h.name == "" {
			h.key = Identity{h.Task.Queue, h.Task.Source, h.Task.ID}.Key()
			h.name = h.key.text(b.store.prefix)
		}
		switch {
		case session == nil:
			if !b.parked.add(h) {
				b.decide(h, Again)
			}
		case !b.register.enter(h):
			b.decide(h, Held)
		default:
			h.mu.Lock()
			h.lease, h.known, h.have, h.text = session, session.Trusted(), Claim{}, ""
			h.mu.Unlock()
			if next := b.bid(h, now).running(Claim{}, 0); l == nil || !l.fits(h.Task.Queue, next) {
				l = newLot(h.Task.Queue, next)
			}
			h.lot = l
			b.ask(h, nil, &l.sheet, "", now, b.onBegun)
			ops = append(ops, &h.op)
		}
	}
	if b.cfg.Proceed && b.away.Load() {
		for _, o := range ops {
			o.answered(o, errAway)
		}
	} else if len(ops) > 0 {
		b.begins.add(ops...)
	}
	b.flush()
}

// ask prepares the hold's operation: to write a sheet over what is expected.
func (b *Book) ask(h *Hold, found *Claim, next *sheet, expect string, now time.Time, answered func(*op, error)) {
	h.found, h.next = found, &next.claim
	h.op = op{
		key: h.key, name: h.name, expect: expect, write: next.text, field: next.field,
		keep: b.window(h).keep(next.claim, h.Task.ID, now), hold: h, answered: answered,
	}
}

// sheet is how the hold's claim becomes next.
func (h *Hold) sheet(have, next Claim) *sheet {
	if h.lot != nil && have == h.lot.claim {
		return h.lot.end(next)
	}
	return newSheet(h.Task.Queue, have, next)
}

func (b *Book) window(h *Hold) Window { return b.cfg.Windows[h.Task.Queue].withDefaults() }

func (b *Book) bid(h *Hold, now time.Time) bid {
	t := h.Task
	return bid{
		generation: t.Generation, turn: t.Turn, attempt: t.Attempt, typ: t.Type,
		me: h.lease.ID(), clock: b.fence(now), now: now, limit: b.cfg.Crashes,
	}
}

// begun reads the answer to a begin: of the script, or of the swap that a verdict asked for.
func (b *Book) begun(o *op, err error) {
	h := o.hold
	switch {
	case err != nil && b.cfg.Proceed && !closing(err) && h.next.State == Running:
		// Redis is away, and this node was told to go on: without a claim, unless the call was applied after all.
		h.won(*h.next, o.write)
		b.decide(h, Run)
	case err != nil:
		b.decide(h, Again)
	case !o.applied:
		b.consider(h, o.found, false)
	case h.next.State == Canceled:
		b.decide(h, Done)
	case h.next.State == Dying:
		b.tell(h)
		h.won(*h.next, o.write)
		b.decide(h, Bury)
	default:
		b.tell(h)
		h.won(*h.next, o.write)
		b.decide(h, Run)
	}
}

func (h *Hold) won(c Claim, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.have, h.text = c, text
}

// consider decides upon the claim that was found. gone says that its owner is known to be.
func (b *Book) consider(h *Hold, text string, gone bool) {
	now := time.Now()
	if text == "" { // it expired since, or Redis was flushed
		b.ask(h, nil, newSheet(h.Task.Queue, Claim{}, b.bid(h, now).running(Claim{}, 0)), "", now, b.onBegun)
		b.swaps.add(&h.op)
		return
	}
	found, err := Parse(text)
	if err != nil {
		if b.trouble.Allow() {
			b.cfg.Log.Warn("a claim is of a format that this version does not know; its task waits", h.fields(zap.String("claim", text))...)
		}
		b.decide(h, Held)
		return
	}
	v, next, write := judge(found, b.bid(h, now), gone)
	switch {
	case write:
		b.ask(h, &found, newSheet(h.Task.Queue, found, next), text, now, b.onBegun)
		b.swaps.add(&h.op)
	case v == Held && !gone:
		// Only the registry knows whether its owner lives.
		b.checks.ask(found.Owner, func(alive bool) {
			if alive {
				b.decide(h, Held)
				b.flush()
			} else {
				b.consider(h, text, true)
			}
		})
	default:
		b.decide(h, v)
	}
}

// tell counts and logs a claim that was taken from a session that is gone.
func (b *Book) tell(h *Hold) {
	found, next := h.found, h.next
	if found == nil || found.Owner == "" || found.Owner == next.Owner || found.State != Running && found.State != Dying {
		return
	}
	b.count.stolen.Add(1)
	if next.State == Dying && found.State == Running {
		b.count.poison.Add(1)
		b.cfg.Log.Error("task took its process down once too often: poison", h.fields(zap.Int("crashes", next.Crashes), zap.String("owner", found.Owner))...)
		return
	}
	b.cfg.Log.Warn("task taken over from a node that is gone", h.fields(zap.Int("crashes", next.Crashes), zap.String("owner", found.Owner))...)
}

// fields are the log fields that name the task, the same as everywhere.
func (h *Hold) fields(more ...zap.Field) []zap.Field {
	t := h.Task
	return append([]zap.Field{
		zap.String("task_id", t.ID), zap.String("task_source", t.Source), zap.String("task_type", t.Type),
		zap.String("queue", t.Queue), zap.Int("attempt", t.Attempt), zap.Int("generation", t.Generation),
	}, more...)
}

// decide ends a begin: the verdict is told with the next flush.
func (b *Book) decide(h *Hold, v Verdict) {
	switch v {
	case Run:
		b.count.run.Add(1)
	case Done:
		b.count.done.Add(1)
	case Stale:
		b.count.stale.Add(1)
	case Held:
		b.count.held.Add(1)
	case Bury, Again:
	}
	if v != Run && v != Bury {
		b.register.leave(h)
	}
	b.decided.mu.Lock()
	b.decided.list = append(b.decided.list, Decision{h, v})
	b.decided.mu.Unlock()
}

// An outbox collects decisions, so that those of a batch are told together.
type outbox struct {
	mu   sync.Mutex
	list []Decision
}

// flush tells the decisions made so far.
func (b *Book) flush() {
	b.decided.mu.Lock()
	list := b.decided.list
	b.decided.list = nil
	b.decided.mu.Unlock()
	if len(list) > 0 {
		b.cfg.Decided(list)
	}
}
