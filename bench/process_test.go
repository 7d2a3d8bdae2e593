package bench

import (
	"context"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// BenchmarkProcess handles b.N waiting tasks, whose JSON payload is decoded and then left alone, with every side.
func BenchmarkProcess(b *testing.B) {
	on := newServers(b)
	for _, s := range []side{
		{"bare", openBare},
		{"bare-claims", openBareClaims},
		{"tasktier", openTasktier},
		{"tasktier-claims", openTasktierClaims},
		{"watermill", openWatermill(false)},
		{"watermill-router", openWatermill(true)},
		{"asynq", openAsynq(asynqBest)},
		{"asynq-4-servers", openAsynq(asynqFour)},
		{"river", openRiver(riverBest)},
	} {
		b.Run(s.name, func(b *testing.B) {
			if trial(b) {
				return
			}
			emptyRedis(b)
			sys := s.open(b, on)
			sys.fill(b, b.N)
			calls, cpu := redisUse(b)
			own := ownCPU(b)
			b.ReportAllocs()
			b.ResetTimer()
			took, handled := process(b, sys, b.N)
			if handled > b.N {
				b.Fatalf("%d tasks were handled, want %d", handled, b.N)
			}
			b.ReportMetric(float64((ownCPU(b)-own).Microseconds())/float64(b.N), "own-cpu-us/task")
			reportRate(b, b.N, took)
			if after, cpuAfter := redisUse(b); after > calls {
				b.ReportMetric(float64(after-calls)/float64(b.N), "redis-calls/task")
				b.ReportMetric(float64((cpuAfter-cpu).Microseconds())/float64(b.N), "redis-cpu-us/task")
			}
		})
	}
}

// process lets sys run until n tasks were handled. It returns how long that took from the start of the first, and how many
// were handled in all, as those in flight may follow.
func process(b *testing.B, sys system, n int) (took time.Duration, handled int) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var (
		count       atomic.Int64
		first, last time.Time
	)
	ended := make(chan error, 1)
	go func() {
		defer cancel() // also when it fails
		ended <- sys.run(ctx, func(mail) {
			c := count.Add(1)
			if c == 1 {
				first = time.Now()
			}
			if c == int64(n) {
				last = time.Now()
				cancel()
			}
		})
	}()
	<-ctx.Done()
	b.StopTimer()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	if c := count.Load(); c < int64(n) {
		b.Fatalf("it ended after %d of %d tasks", c, n)
	}
	return last.Sub(first), int(count.Load())
}

// ownCPU is how much processor time this process has taken.
func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reportRate reports tasks per second in place of the time per operation, which holds the start of the side.
func reportRate(b *testing.B, n int, took time.Duration) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(n-1)/took.Seconds(), "tasks/s")
}
