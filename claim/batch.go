package claim

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A batcher sends operations to Redis in batches, without a timer: while its calls are in flight, the next operations
// collect. A call that fails is repeated until it is answered, which is safe (see Store.call); so an operation is given
// up only when the batcher is stopped, or by when, asked after each failure.
type batcher struct {
	call  func(context.Context, []*op) error
	fails func(error) (giveUp bool)
	works func()
	after func() // called when all of a batch have been answered

	mu      sync.Mutex
	wake    sync.Cond
	waiting []*op
	out     int // batches in flight, whose answers may lead to further operations
	stopped bool
}

const (
	// callPatience bounds one call.
	callPatience = 5 * time.Second
	minPause     = 20 * time.Millisecond
	maxPause     = time.Second
)

func newBatcher(call func(context.Context, []*op) error, fails func(error) bool, works, after func()) *batcher {
	b := &batcher{call: call, fails: fails, works: works, after: after}
	b.wake.L = &b.mu
	return b
}

// over says whether run has nothing left to do. b.mu is held.
func (b *batcher) over() bool { return b.stopped && b.out == 0 && len(b.waiting) == 0 }

// add takes operations over; their answered will be called, by a goroutine of run, or at once if those have ended.
func (b *batcher) add(ops ...*op) {
	b.mu.Lock()
	over := b.over()
	if !over {
		b.waiting = append(b.waiting, ops...)
	}
	b.mu.Unlock()
	if !over {
		b.wake.Signal()
		return
	}
	for _, o := range ops {
		o.answered(o, errStopped)
	}
}

// take waits for operations, and returns none when the batcher is stopped and none can come any more.
func (b *batcher) take(into []*op) []*op {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.waiting) == 0 && !b.over() {
		b.wake.Wait()
	}
	n := min(len(b.waiting), maxBatch)
	if n == 0 {
		return nil
	}
	b.out++
	into = append(into[:0], b.waiting[:n]...)
	rest := copy(b.waiting, b.waiting[n:])
	clear(b.waiting[rest:])
	b.waiting = b.waiting[:rest]
	if rest > 0 {
		b.wake.Signal()
	}
	return into
}

// settle notes that a batch has been answered.
func (b *batcher) settle() {
	b.mu.Lock()
	b.out--
	over := b.over()
	b.mu.Unlock()
	if over {
		b.wake.Broadcast()
	}
}

var (
	errStopped = errors.New("claims are closed")
	errAway    = errors.New("redis is away")
)

// run calls Redis until the batcher is stopped and what waited then, or followed from it, is answered. When ctx ends, what
// is in flight or waits is answered with its error.
func (b *batcher) run(ctx context.Context) {
	var batch []*op
	for {
		batch = b.take(batch)
		if len(batch) == 0 {
			return
		}
		err := b.insist(ctx, batch)
		for _, o := range batch {
			o.answered(o, err)
		}
		b.after()
		clear(batch)
		b.settle()
	}
}

// insist repeats the call until it is answered.
func (b *batcher) insist(ctx context.Context, batch []*op) error {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		once, cancel := context.WithTimeout(ctx, callPatience)
		err := b.call(once, batch)
		cancel()
		if err == nil {
			b.works()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if b.fails(err) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// stop lets run end once nothing waits any more.
func (b *batcher) stop() {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.wake.Broadcast()
}
