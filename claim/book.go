package claim

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/internal/throttle"
	"go.uber.org/zap"
)

// Members says who this process is, and who else lives.
type Members interface {
	// Lease is this process's session now; nil while it has none.
	Lease() *lease.Lease
	// Wait waits until there is one.
	Wait(ctx context.Context) (*lease.Lease, error)
	// Alive says whether a session is still registered: false only if that is certain.
	Alive(ctx context.Context, session string) (bool, error)
}

// Config says what a [Book] is made of.
type Config struct {
	Store   *Store  // required
	Members Members // required
	// Windows says how long the claims of a queue are kept. A queue that is not here has the defaults.
	Windows map[string]Window
	// Crashes is how many processes a task may take down: with the last of them it is poison. Default 3.
	Crashes int
	// Proceed lets turns run without a claim while Redis is away, at least once; otherwise they wait.
	Proceed bool
	// Decided is told the verdicts on holds that were begun, in batches, by the book's goroutines. It must not block.
	Decided func([]Decision)
	// Interrupt is told that a hold should stop running: cause is [ErrCanceled] or [ErrTakenOver]. It must not block.
	Interrupt func(h *Hold, cause error)
	// Node is this process's name in details.
	Node string
	// Log receives what an operator acts on. Default: nothing.
	Log *zap.Logger
}

// A Decision is the verdict on a hold.
type Decision struct {
	Hold    *Hold
	Verdict Verdict
}

var (
	// ErrCanceled is why the context of a task ends that an operator canceled.
	ErrCanceled = errors.New("the task was canceled")
	// ErrTakenOver is why the context of a task ends that another node runs now.
	ErrTakenOver = errors.New("another node has taken the task over")
)

// A Book is the claims of one node: it begins and finishes turns in batches, takes over what belongs to those that are
// gone, keeps long runs fresh, and hears of cancellations. Build one with [New] and Run it; everything else may be called
// from any goroutine while it runs.
type Book struct {
	cfg    Config
	store  *Store
	begins *batcher
	swaps  *batcher
	checks *checker
	recent recent
	marker *marker

	// begun and concluded as values: making one for each call would be an allocation.
	onBegun, onConcluded func(*op, error)

	register register
	decided  outbox
	parked   park
	clock    atomic.Int64 // the last fence drawn
	away     atomic.Bool  // Redis did not answer; only looked at to proceed
	trouble  throttle.Throttle
	count    counts
}

type counts struct{ run, done, stale, held, stolen, poison, lost atomic.Uint64 }

// Stats counts what the verdicts were, since the book was made.
type Stats struct {
	Run, Done, Stale, Held uint64
	Stolen                 uint64 // runs taken over from sessions that were gone
	Poison                 uint64 // tasks that took their last process down
	Lost                   uint64 // results that were refused
	Unlisted               uint64 // tasks that failed and are in no index, because too many did while Redis was away
	Calls                  uint64 // of scripts, each for a batch
}

// Stats returns a snapshot.
func (b *Book) Stats() Stats {
	return Stats{
		Run: b.count.run.Load(), Done: b.count.done.Load(), Stale: b.count.stale.Load(), Held: b.count.held.Load(),
		Stolen: b.count.stolen.Load(), Poison: b.count.poison.Load(), Lost: b.count.lost.Load(), Unlisted: b.marker.box.refused.Load(), Calls: b.store.Calls(),
	}
}

// New builds a book.
func New(cfg Config) (*Book, error) {
	if cfg.Store == nil || cfg.Members == nil || cfg.Decided == nil || cfg.Interrupt == nil {
		return nil, errors.New("configure claims: Store, Members, Decided and Interrupt are required")
	}
	if cfg.Crashes <= 0 {
		cfg.Crashes = 3
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	b := &Book{cfg: cfg, store: cfg.Store}
	b.register.init()
	b.onBegun, b.onConcluded = b.begun, b.concluded
	b.parked.wake = make(chan struct{}, 1)
	b.begins = newBatcher(b.unlessAway(b.store.begin), b.failed, b.works, b.flush)
	b.swaps = newBatcher(b.unlessAway(b.store.swap), b.failed, b.works, b.flush)
	b.checks = newChecker(cfg.Members, cfg.Log)
	b.marker = newMarker(cfg.Store, cfg.Log)
	return b, nil
}

// inFlight is how many calls of a kind are in flight at once. Redis serves one at a time: the second is there so that it
// need not wait for us.
const inFlight = 2

// Run answers what is asked until ctx ends and everything asked before has been answered, or giveUp ends: then what is
// left is answered with an error. Redis being away makes it wait. A caller ends ctx when it asks no more.
func (b *Book) Run(ctx, giveUp context.Context) error {
	var begins, swaps, others, marks sync.WaitGroup
	marking, marked := context.WithCancel(giveUp)
	marks.Go(func() { b.marker.run(marking) })
	for range inFlight {
		begins.Go(func() { b.begins.run(giveUp) })
		swaps.Go(func() { b.swaps.run(giveUp) })
	}
	others.Go(func() { b.checks.run(ctx) })
	others.Go(func() { b.refresh(ctx) })
	others.Go(func() { b.progresses(ctx) })
	others.Go(func() { b.resume(ctx) })
	others.Go(func() { b.forgive(ctx) })
	others.Go(func() { b.listen(ctx) })
	others.Go(func() { b.probe(ctx) })
	<-ctx.Done()
	others.Wait()
	b.begins.stop()
	begins.Wait() // their answers may ask for swaps
	b.swaps.stop()
	swaps.Wait()
	marked()
	marks.Wait()
	return nil
}

// unlessAway is a call that is not tried while turns proceed without Redis: nothing waits for its patience.
func (b *Book) unlessAway(call func(context.Context, []*op) error) func(context.Context, []*op) error {
	return func(ctx context.Context, ops []*op) error {
		if b.cfg.Proceed && b.away.Load() {
			return errAway
		}
		return call(ctx, ops)
	}
}

// failed notes that Redis did not answer a call, and says whether to give it up.
func (b *Book) failed(err error) (giveUp bool) {
	if b.trouble.Allow() {
		b.cfg.Log.Warn("redis does not answer; claims wait for it", zap.Bool("proceed", b.cfg.Proceed), zap.Error(err))
	}
	b.away.Store(true)
	return b.cfg.Proceed
}

func (b *Book) works() {
	if b.away.Load() && b.away.CompareAndSwap(true, false) {
		b.cfg.Log.Info("redis answers again")
	}
}

// Away says whether Redis did not answer the last call.
func (b *Book) Away() bool { return b.away.Load() }

// probeEvery is how often a Redis that is away is looked for.
const probeEvery = 500 * time.Millisecond

// probe finds Redis back where nothing else asks it: to proceed, and for the refreshes of long runs.
func (b *Book) probe(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !b.away.Load() {
			continue
		}
		once, cancel := context.WithTimeout(ctx, callPatience)
		if b.store.ping(once) == nil {
			b.works()
		}
		cancel()
	}
}

// fence draws a fencing token: microseconds of Unix time, later than the last one drawn.
func (b *Book) fence(now time.Time) int64 {
	for {
		last := b.clock.Load()
		next := max(last+1, now.UnixMicro())
		if b.clock.CompareAndSwap(last, next) {
			return next
		}
	}
}
