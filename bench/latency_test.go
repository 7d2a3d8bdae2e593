package bench

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	lightRate = 200 // tasks a second
	warmUp    = 20  // tasks before the first that counts
)

// BenchmarkLatency sends 200 tasks a second and measures from just before each one is sent to the start of its handler. It
// sends b.N tasks, but at most BENCH_LIGHT, 400 if it is not set.
func BenchmarkLatency(b *testing.B) {
	on := newServers(b)
	atMost := setting(b, "BENCH_LIGHT", 400)
	for _, s := range []side{
		{"bare", openBare},
		{"bare-claims", openBareClaims},
		{"tasktier", openTasktier},
		{"tasktier-claims", openTasktierClaims},
		{"watermill", openWatermill(false)},
		{"asynq", openAsynq(asynqBest)},
		{"asynq-defaults", openAsynq(asynqDefaults)},
		{"river", openRiver(riverBest)},
		{"river-defaults", openRiver(riverDefaults)},
	} {
		b.Run(s.name, func(b *testing.B) {
			if trial(b) {
				return
			}
			latencies := latency(b, s.open(b, on), min(b.N, atMost))
			slices.Sort(latencies)
			b.ReportMetric(0, "ns/op")
			for unit, p := range map[string]float64{"ms-p50": 0.5, "ms-p99": 0.99, "ms-max": 1} {
				at := min(int(p*float64(len(latencies))), len(latencies)-1)
				b.ReportMetric(latencies[at].Seconds()*1000, unit)
			}
		})
	}
}

// latency is how long each of n tasks waited for its handler.
func latency(b *testing.B, sys system, n int) []time.Duration {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second+time.Duration(n)*time.Second/lightRate)
	defer cancel()
	epoch := time.Now()
	sent, waited := make([]atomic.Int64, n+warmUp), make([]atomic.Int64, n+warmUp)
	var started atomic.Int64
	warm, all := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- sys.run(ctx, func(m mail) {
			i := m.number()
			if !waited[i].CompareAndSwap(0, int64(time.Since(epoch))-sent[i].Load()) {
				return // delivered again
			}
			switch int(started.Add(1)) {
			case warmUp:
				close(warm)
			case warmUp + n:
				close(all)
			}
		})
	}()

	// Every task is sent by a goroutine of its own, so that one that takes long holds up no other.
	var senders sync.WaitGroup
	send := func(i int) {
		senders.Go(func() {
			sent[i].Store(int64(time.Since(epoch)))
			if err := sys.send(ctx, newMail(i)); err != nil {
				b.Errorf("send task %d: %v", i, err)
			}
		})
	}
	await := func(what <-chan struct{}) {
		select {
		case <-what:
		case err := <-ended:
			b.Fatalf("ended after %d of %d tasks: %v", started.Load(), n+warmUp, err)
		}
	}
	for i := range warmUp {
		send(i)
	}
	await(warm)
	tick := time.NewTicker(time.Second / lightRate)
	defer tick.Stop()
	for i := range n {
		<-tick.C
		send(warmUp + i)
	}
	await(all)
	senders.Wait()
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	latencies := make([]time.Duration, n)
	for i := range latencies {
		latencies[i] = time.Duration(waited[warmUp+i].Load())
	}
	return latencies
}
