package consumer

import (
	"sync"
	"sync/atomic"
	"time"
)

// A breaker watches the attempts of one type on this node. While it is closed all of them start. It opens when nearly all
// of the latest failed: then the rest of the type is put off without using an attempt, and one task at a time is let
// through as a probe, ever more rarely. After a probe that succeeds it is half open and lets more and more through, until
// enough have succeeded. Probes and what is let through while it is half open are trials: they use no attempt either.
//
// It has no clock and no dice of its own: now is the time since the consumer was made, so that steps of the wall clock do
// not matter.
type breaker struct {
	cfg  Breaker
	draw func() float64 // evenly from [0, 1)
	tell func(change)   // told of openings and closings, with mu held; may be nil

	// era is even while the breaker is closed. It counts openings and closings: what began in another era says nothing of
	// this one. worked counts attempts that succeeded; known says that one has, and that the breaker has not given up since.
	// These are all that a type sees of its breaker while it works.
	era    atomic.Uint32
	worked atomic.Uint64
	known  atomic.Bool

	mu      sync.Mutex
	half    bool          // half open, if not closed
	recent  []sample      // the latest attempts, a ring
	at      int           // where the next one goes
	counted uint64        // how many of worked are in recent, or have been
	since   time.Duration // when it was known first that it works
	gaveUp  bool          // an outage has passed its limit, and nothing has succeeded since
	opened  time.Duration
	limit   time.Duration // how long nothing may succeed in this outage
	failing time.Duration // since when nothing has succeeded

	probeAt  time.Duration // when the next probe may start
	pause    time.Duration // between this one and the next
	trials   int           // that are at work
	allowed  int           // at once
	latest   time.Duration // when the latest one began
	patience time.Duration // how long trials that are at work keep others from starting
	round    uint32        // of trials: those of an earlier one are waited for no longer
	culprit  uint64        // the task whose trial failed last
	others   bool          // tasks that are not the culprit have been put off since
	ok, bad  int           // trials that succeeded and failed since it is half open

	openings, tried, spared uint64
	before                  change // tried and spared at the opening
}

// A sample is an attempt that ended: when, and which task if it failed. Away says that it reached nobody.
type sample struct {
	at   time.Duration
	task uint64 // 0: it succeeded
	away bool
}

// A permit is what an attempt was let through on.
type permit struct {
	era, round uint32
	trial      bool
}

// A sign is what the end of an attempt says of the type as a whole.
type sign uint8

const (
	silent sign = iota // nothing: a permanent failure, a snooze, a cancel, an attempt that was given up
	works
	fails
	away // it failed for want of a connection
)

// A change is an opening or a closing, for the log.
type change struct {
	state         BreakerState
	gaveUp        bool          // it is closed although nothing works
	seen, failed  int           // at an opening: the attempts that were judged
	lasted        time.Duration // at a closing: the outage
	tried, spared uint64        // at a closing: trials, and attempts that were put off
}

const (
	// minPause and maxPause bound the time between two probes: a failed one doubles it, a good one halves it.
	minPause = time.Second
	maxPause = 30 * time.Second
	// minSpare and maxSpare bound how long a task is put off: half as long as nothing has succeeded. What is put off while
	// the breaker is half open is not put off for long.
	minSpare  = time.Second
	maxSpare  = time.Minute
	halfSpare = 2 * time.Second
	// closeAfter is how many trials must succeed. trialSlack is by how many more than twice the successes may fail.
	closeAfter = 10
	trialSlack = 2
	// minPatience is how long a trial that does not end keeps others from starting. It doubles, so that attempts that hang
	// don't take slot after slot.
	minPatience = 30 * time.Second
	// trust is how often the time that a type has worked here an outage of it may last.
	trust = 10
	// samplesPerMin is how many attempts are judged at most, as a multiple of the least number. So an opening takes no more
	// than that many failures, however many attempts have succeeded just before.
	samplesPerMin = 2
)

func newBreaker(cfg Breaker, draw func() float64, tell func(change)) *breaker {
	return &breaker{cfg: cfg, draw: draw, tell: tell, recent: make([]sample, 0, samplesPerMin*cfg.MinAttempts)}
}

// free is the permit of an attempt while the breaker is closed.
func (b *breaker) free() (_ permit, ok bool) {
	era := b.era.Load()
	return permit{era: era}, era%2 == 0
}

// enter lets an attempt of a task start (wait 0), or says for how long to put it off.
func (b *breaker) enter(now time.Duration, task uint64) (p permit, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p, ok := b.free(); ok {
		return p, 0 // it has closed meanwhile
	}
	if now-b.failing >= b.limit {
		b.gaveUp = true
		b.known.Store(false)
		b.close(now)
		return permit{era: b.era.Load()}, 0
	}
	if b.trials > 0 && now-b.latest >= b.patience {
		b.trials = 0
		b.round++
		b.patience *= 2
	}
	if !b.admits(now, task) {
		b.spared++
		b.others = b.others || task != b.culprit
		return permit{}, b.spare(now)
	}
	b.trials++
	b.tried++
	b.latest = now
	return permit{era: b.era.Load(), round: b.round, trial: true}, 0
}

// admits says whether a trial may start. The task whose trial failed last gives way to others, if there are any: it may be
// the one that can't succeed.
func (b *breaker) admits(now time.Duration, task uint64) bool {
	switch {
	case b.trials >= b.allowed:
		return false
	case b.half:
		return true
	case task == b.culprit && b.others:
		return now >= b.probeAt+maxSpare // they have not come again
	default:
		return now >= b.probeAt
	}
}

// spare is for how long a task is put off now.
func (b *breaker) spare(now time.Duration) time.Duration {
	if b.half {
		return b.jitter(halfSpare)
	}
	return b.jitter(min(max((now-b.failing)/2, minSpare), maxSpare))
}

// jitter draws from the upper half of what is up to d.
func (b *breaker) jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(b.draw()*float64(d/2))
}

// leave takes the end of an attempt. It returns for how long to put off a trial that failed.
func (b *breaker) leave(now time.Duration, p permit, task uint64, s sign) (wait time.Duration) {
	if s == works {
		b.worked.Add(1)
		b.know(now)
	}
	if !p.trial && s < fails {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch current := p.era == b.era.Load(); {
	case current && p.trial:
		b.settle(now, p, task, s)
	case current:
		b.failed(now, sample{at: now, task: task, away: s == away})
	}
	if !p.trial {
		return 0
	}
	return b.spare(now)
}

// know notes that the type works.
func (b *breaker) know(now time.Duration) {
	if b.known.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.known.Load() {
		b.since, b.gaveUp = now, false
		b.known.Store(true)
	}
}

// failed adds a failure to what is known and opens the breaker if that is an outage. A task that fails again within the
// window counts once: one that can't succeed must not stop its type.
func (b *breaker) failed(now time.Duration, f sample) {
	total := b.worked.Load()
	for range min(total-b.counted, uint64(cap(b.recent))) {
		b.push(sample{at: now}) // when they succeeded is not known: since the last failure
	}
	b.counted = total
	for _, s := range b.recent {
		if s.task == f.task && now-s.at < b.cfg.Window {
			return
		}
	}
	b.push(f)
	seen, bad, unreached := 0, 0, 0
	for _, s := range b.recent {
		if now-s.at >= b.cfg.Window {
			continue
		}
		seen++
		if s.task != 0 {
			bad++
		}
		if s.away {
			unreached++
		}
	}
	if seen < b.cfg.MinAttempts || float64(bad) < b.cfg.Threshold*float64(seen) {
		return
	}
	// A type that has never worked here may be one that can't: its tasks are to run out of attempts. One that has worked for
	// less than a window may have begun to, as tasks do that fail at first. Of one that has worked for longer the outage is
	// believed the longer, the longer that was. Where no connection is made there is no doubt.
	limit := b.cfg.Limit
	if float64(unreached) < b.cfg.Threshold*float64(seen) {
		if !b.known.Load() || now-b.since < b.cfg.Window {
			return
		}
		limit = min(trust*(now-b.since), limit)
	} else if b.gaveUp {
		return
	}
	b.limit = limit
	b.open(now, change{state: BreakerOpen, seen: seen, failed: bad})
}

// push adds a sample to the ring.
func (b *breaker) push(s sample) {
	if len(b.recent) < cap(b.recent) {
		b.recent = append(b.recent, s)
		return
	}
	b.recent[b.at] = s
	b.at = (b.at + 1) % len(b.recent)
}

// open begins an outage.
func (b *breaker) open(now time.Duration, c change) {
	b.era.Add(1)
	b.openings++
	b.opened, b.failing, b.half, b.pause, b.patience = now, now, false, minPause, minPatience
	b.trials, b.allowed, b.culprit, b.others = 0, 1, 0, false
	b.before = change{tried: b.tried, spared: b.spared}
	b.probeAt = now + b.jitter(b.pause)
	if b.tell != nil {
		b.tell(c)
	}
}

// close ends it.
func (b *breaker) close(now time.Duration) {
	b.era.Add(1)
	b.recent, b.at, b.counted = b.recent[:0], 0, b.worked.Load()
	if b.tell != nil {
		b.tell(change{state: BreakerClosed, gaveUp: b.gaveUp, lasted: now - b.opened, tried: b.tried - b.before.tried, spared: b.spared - b.before.spared})
	}
}

// settle takes the end of a trial.
func (b *breaker) settle(now time.Duration, p permit, task uint64, s sign) {
	if p.round == b.round {
		b.trials--
	}
	if s == works {
		b.failing = now
	}
	switch {
	case s == silent:
		if !b.half {
			b.probeAt = now + b.jitter(minPause)
		}
		return
	case s == works && !b.half:
		b.half, b.ok, b.bad, b.allowed = true, 1, 0, 2
		b.pause = max(b.pause/2, minPause)
	case s == works:
		b.ok++
		b.allowed = min(2*b.allowed, closeAfter)
		if b.ok >= closeAfter {
			b.close(now)
		}
	case b.half:
		b.culprit, b.others = task, false
		if b.bad++; b.bad > trialSlack+2*b.ok {
			b.half, b.allowed = false, 1
			b.probeAt = now + b.jitter(b.pause)
		}
	default:
		b.culprit, b.others = task, false
		b.pause = min(2*b.pause, maxPause)
		b.probeAt = now + b.jitter(b.pause)
	}
	b.patience = minPatience
}
