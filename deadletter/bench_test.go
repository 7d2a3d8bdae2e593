package deadletter_test

import (
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/tasktier/tasktier/deadletter"
)

// size is how many letters a benchmark has: DEADLETTER_BENCH, or a few, which show that it works.
func size(b *testing.B) int {
	text := os.Getenv("DEADLETTER_BENCH")
	if text == "" {
		return 5000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("DEADLETTER_BENCH is %q, not a number of letters", text)
	}
	return n
}

// BenchmarkRead reads letters of some 600 bytes: what an operator waits for. Each measure is of one reading.
func BenchmarkRead(b *testing.B) {
	letters := size(b)
	for name, start := range kafkas {
		b.Run(name, func(b *testing.B) {
			g := newGround(b, start(b), 24, nil)
			g.flood(b.Context(), letters)
			read := func(name string, f func(b *testing.B) int) {
				b.Run(name, func(b *testing.B) {
					n, peak := 0, watchHeap(b)
					for b.Loop() {
						n += f(b)
					}
					b.ReportMetric(float64(n)/float64(b.N), "letters")
					b.ReportMetric(float64(letters)*float64(b.N)/b.Elapsed().Seconds(), "read/s")
					b.ReportMetric(float64(peak())/(1<<20), "peak-MB")
				})
			}
			list := func(f deadletter.Filter) func(b *testing.B) int {
				return func(b *testing.B) (n int) {
					for _, err := range g.store.List(b.Context(), g.queue, f) {
						if err != nil {
							b.Fatal(err)
						}
						n++
					}
					return n
				}
			}
			read("stats", func(b *testing.B) int {
				st, err := g.store.Stats(b.Context(), g.queue, deadletter.Filter{})
				if err != nil {
					b.Fatal(err)
				}
				return int(st.Letters)
			})
			read("groups", func(b *testing.B) int {
				groups, err := g.store.Groups(b.Context(), g.queue, deadletter.Filter{})
				if err != nil {
					b.Fatal(err)
				}
				return len(groups)
			})
			read("list/rare", list(deadletter.Filter{Types: []string{"rare"}}))
			read("list/limit", list(deadletter.Filter{Limit: 100}))
			read("list/all", list(deadletter.Filter{}))
		})
	}
}

// watchHeap returns what tells the largest heap since.
func watchHeap(b *testing.B) func() uint64 {
	runtime.GC()
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			case <-stop:
				peak <- most
				return
			}
		}
	}()
	return func() uint64 { close(stop); return <-peak }
}
