package claim

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/task"
)

// A desk is a book on a real Redis whose answers are counted, for benchmarks. Holds are made before, as records are.
type desk struct {
	*Book
	store   *Store
	decided chan int
}

func newDesk(b *testing.B) *desk {
	d := &desk{store: NewStore(single(b, testenv.Redis(b)), testenv.Unique(b)), decided: make(chan int, 1000)}
	n := start(b, d.store, &registry{}, "sabcdefghijkl", func(c *Config) {
		c.Decided = func(list []Decision) {
			for _, d := range list {
				if d.Verdict != Run {
					b.Error(d.Verdict)
				}
			}
			d.decided <- len(list)
		}
	})
	d.Book = n.Book
	return d
}

// holds makes n first turns, in memory that is not counted.
func (d *desk) holds(n int) []*Hold {
	holds, tasks := make([]Hold, n), make([]task.Task, n)
	all := make([]*Hold, n)
	for i := range holds {
		tasks[i] = task.Task{Queue: "tasks", Source: "/bench", ID: fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", i), Type: "bench.task", Turn: 1, Attempt: 1}
		holds[i].Task = &tasks[i]
		all[i] = &holds[i]
	}
	return all
}

// polled is how many records a poll brings, roughly: holds are begun so many at a time.
const polled = 500

// begin begins all holds, and waits.
func (d *desk) begin(holds []*Hold) {
	const window = 20 * polled
	flying := 0
	for len(holds) > 0 || flying > 0 {
		for len(holds) > 0 && flying < window {
			n := min(polled, len(holds))
			d.Begin(holds[:n]...)
			holds, flying = holds[n:], flying+n
		}
		flying -= <-d.decided
	}
}

// report says what a task costs.
func (d *desk) report(b *testing.B, calls uint64, before *runtime.MemStats) {
	b.StopTimer()
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	n := float64(b.N)
	b.ReportMetric(n/b.Elapsed().Seconds(), "tasks/s")
	b.ReportMetric(float64(d.store.Calls()-calls)/n, "calls/task")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "allocs/task")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/n, "B/task")
}

func BenchmarkBegin(b *testing.B) {
	d := newDesk(b)
	holds := d.holds(b.N)
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	d.begin(holds)
	d.report(b, 0, &before)
	b.ReportMetric(0, "ns/op")
}

func BenchmarkFinish(b *testing.B) {
	d := newDesk(b)
	holds := d.holds(b.N)
	d.begin(holds)
	calls := d.store.Calls()
	done := make(chan struct{}, len(holds))
	tell := func(r Result) {
		if r != Written {
			b.Error(r)
		}
		done <- struct{}{}
	}
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	for _, h := range holds {
		d.Finish(h, Outcome{State: Succeeded}, tell)
	}
	for range holds {
		<-done
	}
	d.report(b, calls, &before)
	b.ReportMetric(0, "ns/op")
}

// BenchmarkClaim takes tasks all the way, as the consumer does: what is decided is finished at once.
func BenchmarkClaim(b *testing.B) {
	done := make(chan struct{}, 100_000)
	tell := func(r Result) {
		if r != Written {
			b.Error(r)
		}
		done <- struct{}{}
	}
	var book *Book
	store := NewStore(single(b, testenv.Redis(b)), testenv.Unique(b))
	n := start(b, store, &registry{}, "sabcdefghijkl", func(c *Config) {
		c.Decided = func(list []Decision) {
			for _, d := range list {
				book.Finish(d.Hold, Outcome{State: Succeeded}, tell)
			}
		}
	})
	book = n.Book
	d := &desk{Book: book, store: store}
	holds := d.holds(b.N)
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	const window = 10 * polled
	flying := 0
	for left := holds; len(left) > 0 || flying > 0; {
		for len(left) > 0 && flying+polled <= window {
			n := min(polled, len(left))
			book.Begin(left[:n]...)
			left, flying = left[n:], flying+n
		}
		<-done
		flying--
	}
	d.report(b, 0, &before)
	b.ReportMetric(0, "ns/op")
}

// BenchmarkAtRest measures what Redis keeps of a finished task, however often it is asked to.
func BenchmarkAtRest(b *testing.B) {
	const many = 100_000
	server := testenv.StartRedis(b)
	d := &desk{store: NewStore(single(b, server.Addr()), ""), decided: make(chan int, 1000)}
	n := start(b, d.store, &registry{}, "sabcdefghijkl", func(c *Config) {
		c.Decided = func(list []Decision) { d.decided <- len(list) }
	})
	d.Book = n.Book
	used := func() float64 {
		info, err := d.store.client.Info(b.Context(), "memory").Result()
		must(b, err)
		_, rest, _ := strings.Cut(info, "used_memory:")
		text, _, _ := strings.Cut(rest, "\r")
		bytes, err := strconv.ParseFloat(text, 64)
		must(b, err)
		return bytes
	}
	empty := used()
	holds := d.holds(many)
	d.begin(holds)
	done := make(chan struct{}, many)
	for _, h := range holds {
		d.Finish(h, Outcome{State: Succeeded}, func(Result) { done <- struct{}{} })
	}
	for range holds {
		await(b, done)
	}
	b.ReportMetric((used()-empty)/many, "B/claim")
	one, err := d.store.client.MemoryUsage(b.Context(), holds[0].identity().Key().text("tasktier")).Result()
	must(b, err)
	b.ReportMetric(float64(one), "B/key")
	b.ReportMetric(0, "ns/op")
}
