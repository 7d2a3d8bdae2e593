package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A delayer is a system that takes tasks whose time is to come.
type delayer interface {
	system
	// sendAt is send for a task that is not to start before a time.
	sendAt(ctx context.Context, m mail, at time.Time) error
}

// leastDelay and the delay that BENCH_DELAY says, 3 s if it is not set, bound the delays of BenchmarkLateness.
const leastDelay = 50 * time.Millisecond

// senders is how many goroutines send the tasks of BenchmarkLateness.
const senders = 64

// BenchmarkLateness sends tasks with random delays as fast as a side takes them, and measures from the time of each one to
// the start of its handler. The delays are the same for every side. It sends b.N tasks, but at most BENCH_DELAYED, 500 if
// it is not set.
func BenchmarkLateness(b *testing.B) {
	on := newServers(b)
	atMost := setting(b, "BENCH_DELAYED", 500)
	for _, s := range []side{
		{"tasktier-claims", openTasktierNode},
		{"asynq", openAsynq(asynqPunctual)},
		{"asynq-defaults", openAsynq(asynqDefaults)},
		{"river", openRiver(riverBest)},
	} {
		b.Run(s.name, func(b *testing.B) {
			if trial(b) {
				return
			}
			emptyRedis(b)
			sys, ok := s.open(b, on).(delayer)
			if !ok {
				b.Fatal("it takes no delayed tasks")
			}
			late, early := lateness(b, sys, min(b.N, atMost), longestDelay(b))
			slices.Sort(late)
			b.ReportMetric(0, "ns/op")
			ms := func(p float64) float64 { return late[min(int(p*float64(len(late))), len(late)-1)].Seconds() * 1000 }
			b.ReportMetric(ms(0.5), "ms-p50")
			b.ReportMetric(ms(0.99), "ms-p99")
			b.ReportMetric(ms(1), "ms-max")
			b.ReportMetric(float64(early), "early")
			b.Logf("%d tasks, %d of them early\n%s", len(late), early, histogram(late))
			for _, limit := range []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, time.Second} {
				within, _ := slices.BinarySearch(late, limit+1)
				b.ReportMetric(100*float64(within)/float64(len(late)), fmt.Sprintf("%%<=%v", limit))
			}
		})
	}
}

func longestDelay(b *testing.B) time.Duration {
	b.Helper()
	text := os.Getenv("BENCH_DELAY")
	if text == "" {
		return 3 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= leastDelay {
		b.Fatalf("BENCH_DELAY is %q, want a duration above %v", text, leastDelay)
	}
	return d
}

// lateness is how late the handler of each of n tasks started, and how many started before their time.
func lateness(b *testing.B, sys delayer, n int, longest time.Duration) (late []time.Duration, early int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), longest+2*time.Minute)
	defer cancel()
	delays := make([]time.Duration, n)
	random := rand.New(rand.NewPCG(20, 26))
	for i := range delays {
		delays[i] = leastDelay + time.Duration(random.Int64N(int64(longest-leastDelay)))
	}
	dues, starts := make([]atomic.Int64, n), make([]atomic.Int64, n)
	var started, warm atomic.Int64
	ready, all := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- sys.run(ctx, func(m mail) {
			now := time.Now().UnixNano()
			i := m.number()
			switch {
			case i >= n:
				if warm.Add(1) == 1 {
					close(ready)
				}
			case starts[i].CompareAndSwap(0, now):
				if started.Add(1) == int64(n) {
					close(all)
				}
			}
		})
	}()
	await := func(what <-chan struct{}) {
		select {
		case <-what:
		case err := <-ended:
			b.Fatalf("ended after %d of %d tasks: %v", started.Load(), n, err)
		}
	}

	// The side works when a task of which nothing is measured has come through.
	for err := sys.send(ctx, newMail(n)); err != nil; err = sys.send(ctx, newMail(n)) {
		select {
		case <-time.After(100 * time.Millisecond): // its topics may not be there yet
		case <-ctx.Done():
			b.Fatal(err)
		}
	}
	await(ready)
	var next atomic.Int64
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				at := time.Now().Add(delays[i]).Truncate(time.Millisecond)
				dues[i].Store(at.UnixNano())
				if err := sys.sendAt(ctx, newMail(int(i)), at); err != nil {
					b.Errorf("send task %d: %v", i, err)
				}
			}
		})
	}
	await(all)
	sending.Wait()
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	for i := range n {
		d := time.Duration(starts[i].Load() - dues[i].Load())
		if d < 0 {
			early++
		}
		late = append(late, d)
	}
	return late, early
}

// histogram draws sorted durations in classes whose limits double.
func histogram(sorted []time.Duration) string {
	var out strings.Builder
	for limit, from := time.Millisecond, 0; from < len(sorted); limit *= 2 {
		to, _ := slices.BinarySearch(sorted, limit)
		if share := float64(to-from) / float64(len(sorted)); to > 0 {
			fmt.Fprintf(&out, "below %8v %7d %s\n", limit, to-from, strings.Repeat("#", int(60*share+0.5)))
		}
		from = to
	}
	return out.String()
}
