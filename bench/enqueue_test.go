package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// callers is how many goroutines enqueue at once where each sends one task and waits until it is safe.
const callers = 100

// An entry is a way into a system: so many callers, with so many tasks a call. With a batch of 0 one call takes them all.
type entry struct {
	name           string
	callers, batch int
	open           func(b *testing.B, on *servers) intake
}

// An intake takes tasks in.
type intake interface {
	// put takes in n tasks, numbered from first on, and returns when they are safe. The callers call it at the same time.
	put(ctx context.Context, first, n int) error
	// waiting is how many tasks the system has.
	waiting(b *testing.B) int
}

// BenchmarkEnqueue puts b.N tasks into each system by the ways that it has: one at a time from many goroutines, in batches,
// and without waiting for each. Nobody handles them meanwhile. Safe is what each system calls so by default: see
// docs/benchmarks.md.
func BenchmarkEnqueue(b *testing.B) {
	on := newServers(b)
	for _, e := range []entry{
		{"bare", callers, 1, openBareCalls},
		{"bare-async", 1, 0, openBareAsync},
		{"bare-async-keyed", 1, 0, openBareAsyncKeyed},
		{"tasktier", callers, 1, openTasktierCalls},
		{"tasktier-batches", 4, 1000, openTasktierCalls},
		{"tasktier-async", 1, 0, openTasktierAsync},
		{"watermill", callers, 1, openWatermillCalls},
		{"watermill-crowd", 20 * callers, 1, openWatermillCalls},
		{"asynq", callers, 1, openAsynqCalls},
		{"river", callers, 1, openRiverCalls},
		{"river-batches", 2, 10_000, openRiverBatches},
	} {
		b.Run(e.name, func(b *testing.B) {
			if trial(b) {
				return
			}
			emptyRedis(b)
			into := e.open(b, on)
			e.put(b, into, e.callers) // connects
			before := into.waiting(b)
			own := ownCPU(b)
			b.ReportAllocs()
			b.ResetTimer()
			took := e.put(b, into, b.N)
			b.StopTimer()
			b.ReportMetric(float64((ownCPU(b)-own).Microseconds())/float64(b.N), "own-cpu-us/task")
			reportRate(b, b.N, took)
			if got := into.waiting(b) - before; got != b.N {
				b.Errorf("%d tasks are in, want %d", got, b.N)
			}
		})
	}
}

// put has the callers put n tasks into the system, and returns how long that took.
func (e entry) put(b *testing.B, into intake, n int) time.Duration {
	b.Helper()
	batch := e.batch
	if batch == 0 {
		batch = n
	}
	var next atomic.Int64
	var calling sync.WaitGroup
	start := time.Now()
	for range e.callers {
		calling.Go(func() {
			for {
				first := int(next.Add(int64(batch))) - batch
				if first >= n {
					return
				}
				if err := into.put(b.Context(), first, min(batch, n-first)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	calling.Wait()
	return time.Since(start)
}

// A once keeps the first error of callbacks.
type once struct {
	sync.Once
	err error
}

func (o *once) note(err error) {
	if err != nil {
		o.Do(func() { o.err = err })
	}
}
