package consumer

import (
	"cmp"
	"errors"
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tasktier/tasktier/task"
	"go.uber.org/zap"
)

// A Breaker says when a type is taken for one in an outage. Then its tasks are put off without using an attempt, but for a
// few that are tried to see whether it works again; those of ordering keys wait in place. A zero field means the default
// that stands with it; in a [Type], the consumer's.
//
// A type that has not worked on this node for Window is in an outage only if its attempts make no connection (a
// [net.OpError] that failed to dial, or a [net.DNSError]): otherwise it may be one that can't work, whose tasks are to run
// out of attempts.
type Breaker struct {
	// Off lets every attempt start, whatever becomes of the others.
	Off bool
	// Threshold is the share of the latest attempts that fail in an outage, above 0 and at most 1. Default 0.95: below that
	// most tasks succeed within 25 attempts, and of 20 attempts that fail by the toss of a coin 19 do once in 50,000 times.
	Threshold float64
	// MinAttempts is how many attempts must have ended within Window before they are judged. A task that fails again within
	// it counts once. The latest are judged, twice as many at most. At most 10,000. Default 20.
	MinAttempts int
	// Window is how far back attempts count. Default 10 s.
	Window time.Duration
	// Limit is how long nothing may succeed in an outage. After it attempts start and count, until one has succeeded.
	// Where connections are made it is at most ten times as long as the type had been known to work here. Default 24 h.
	Limit time.Duration
}

// maxMinAttempts bounds the memory of a breaker.
const maxMinAttempts = 10_000

var defaultBreaker = Breaker{Threshold: 0.95, MinAttempts: 20, Window: 10 * time.Second, Limit: 24 * time.Hour}

// over returns b with the zero fields taken from base. Off stays as it is.
func (b Breaker) over(base Breaker) Breaker {
	b.Threshold = cmp.Or(b.Threshold, base.Threshold)
	b.MinAttempts = cmp.Or(b.MinAttempts, base.MinAttempts)
	b.Window = cmp.Or(b.Window, base.Window)
	b.Limit = cmp.Or(b.Limit, base.Limit)
	return b
}

func (b Breaker) valid() bool {
	return b.Threshold > 0 && b.Threshold <= 1 && b.MinAttempts >= 1 && b.MinAttempts <= maxMinAttempts && b.Window > 0 && b.Limit > 0
}

// A BreakerState is how a type is let through.
type BreakerState int

// The states of a breaker.
const (
	BreakerClosed   BreakerState = iota // all attempts start
	BreakerHalfOpen                     // a few do, and more and more while they succeed
	BreakerOpen                         // none does, but for one now and then
)

// BreakerStats is what the breaker of one type does.
type BreakerStats struct {
	Type  string
	State BreakerState
	// Counts since the start of the process: outages; attempts that were let through in them, to see whether the type works;
	// and attempts that were put off, where a task may be put off many times.
	Openings, Trials, Spared uint64
}

// Breakers returns a snapshot for every type that has been attempted here and has a breaker, sorted by type.
func (c *Consumer) Breakers() []BreakerStats {
	var stats []BreakerStats
	all := *c.breakers.byType.Load()
	for _, typ := range slices.Sorted(maps.Keys(all)) {
		if b := all[typ]; b != nil {
			s := b.stats()
			s.Type = typ
			stats = append(stats, s)
		}
	}
	return stats
}

func (b *breaker) stats() BreakerStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := BreakerStats{Openings: b.openings, Trials: b.tried, Spared: b.spared}
	if _, closed := b.free(); !closed {
		s.State = BreakerOpen
		if b.half {
			s.State = BreakerHalfOpen
		}
	}
	return s
}

// breakers are those of all types that have a handler here: names that only tasks know get none.
type breakers struct {
	mu     sync.Mutex                          // serializes writers
	byType atomic.Pointer[map[string]*breaker] // replaced as a whole; nil: off
	seed   maphash.Seed
}

func newBreakers() *breakers {
	s := &breakers{seed: maphash.MakeSeed()}
	s.byType.Store(&map[string]*breaker{})
	return s
}

// breaker is that of a type which has a handler; nil if it is off.
func (c *Consumer) breaker(typ string) *breaker {
	s := c.breakers
	if b, ok := (*s.byType.Load())[typ]; ok {
		return b
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]*breaker)
	for known, b := range *s.byType.Load() {
		if known == typ {
			return b
		}
		if c.cfg.Mux.route(known) != nil { // handlers come and go
			all[known] = b
		}
	}
	all[typ] = nil
	cfg := c.cfg.Breaker
	if t := c.cfg.Types[typ].Breaker; t != nil {
		cfg = *t
	}
	if !cfg.Off {
		all[typ] = newBreaker(cfg.over(c.cfg.Breaker), rand.Float64, func(ch change) { c.logChange(typ, ch) })
	}
	s.byType.Store(&all)
	return all[typ]
}

func (c *Consumer) logChange(typ string, ch change) {
	log := c.cfg.Log.With(zap.String("task_type", typ))
	switch {
	case ch.state == BreakerOpen:
		log.Warn("nearly all attempts of this type fail: sparing its tasks until it works again", zap.Int("attempts", ch.seen), zap.Int("failed", ch.failed))
	case ch.gaveUp:
		log.Error("this type has not worked for so long that its attempts count again", zap.Duration("outage", ch.lasted), zap.Uint64("trials", ch.tried), zap.Uint64("spared", ch.spared))
	default:
		log.Info("this type works again", zap.Duration("outage", ch.lasted), zap.Uint64("trials", ch.tried), zap.Uint64("spared", ch.spared))
	}
}

// hash names a task for a breaker; it is never 0.
func (s *breakers) hash(t *task.Task) uint64 {
	return max(maphash.Comparable(s.seed, [3]string{t.Queue, t.Source, t.ID}), 1)
}

// permit asks the breaker of a turn's type whether an attempt may start (wait 0), or for how long to put it off.
func (c *Consumer) permit(t *turn) (b *breaker, p permit, wait time.Duration) {
	b = c.breaker(t.task.Type)
	if b == nil {
		return nil, permit{}, 0
	}
	if p, ok := b.free(); ok {
		return b, p, 0
	}
	p, wait = b.enter(c.uptime(), c.breakers.hash(&t.task))
	return b, p, wait
}

// tried tells the breaker how an attempt ended. A trial that failed uses no attempt: it is put off like all others.
func (c *Consumer) tried(b *breaker, p permit, t *turn, o outcome) outcome {
	if b == nil {
		return o
	}
	s := o.sign()
	if !p.trial && s < fails {
		var now time.Duration
		if !b.known.Load() {
			now = c.uptime()
		}
		b.leave(now, p, 0, s)
		return o
	}
	wait := b.leave(c.uptime(), p, c.breakers.hash(&t.task), s)
	if !p.trial || s < fails {
		return o
	}
	if after, asked := task.Word(o.err).(*task.RetryAfterError); asked { //nolint:errorlint // Word has unwrapped it
		wait = max(wait, after.Delay)
	}
	return outcome{kind: snoozes, delay: wait, note: o.err.Error()}
}

// sign is what an outcome says of its type.
func (o outcome) sign() sign {
	switch {
	case o.kind == succeeds:
		return works
	case o.kind != retries && (o.kind != dies || o.reason != task.ReasonExhausted):
		return silent
	}
	var dial *net.OpError
	var name *net.DNSError
	if errors.As(o.err, &dial) && dial.Op == "dial" || errors.As(o.err, &name) {
		return away
	}
	return fails
}
