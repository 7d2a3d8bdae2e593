package bench

import (
	"context"
	"testing"
	"time"
)

// mostDead is how many dead tasks BenchmarkReplay has at most: asynq keeps less than 10,000 of them.
const mostDead = 9_000

// A revival is a system with dead tasks.
type revival interface {
	// bury makes n tasks dead.
	bury(b *testing.B, n int)
	// revive brings all that are dead back and returns how long that took, until the last one waits again.
	revive(b *testing.B, n int) time.Duration
	// waiting is how many tasks wait to be handled.
	waiting(b *testing.B) int
}

// BenchmarkReplay brings b.N dead tasks back, but at most 9,000, with what each system has for operators. Nobody handles
// them then.
func BenchmarkReplay(b *testing.B) {
	on := newServers(b)
	for _, s := range []struct {
		name string
		open func(b *testing.B, on *servers) revival
	}{
		{"tasktier", openTasktierRevival},
		{"tasktier-claims", openTasktierClaimsRevival},
		{"watermill", openWatermillRevival},
		{"asynq", openAsynqRevival},
		{"river", openRiverRevival},
	} {
		b.Run(s.name, func(b *testing.B) {
			if trial(b) {
				return
			}
			n := min(b.N, mostDead)
			emptyRedis(b)
			sys := s.open(b, on)
			sys.bury(b, n)
			before := sys.waiting(b)
			took := sys.revive(b, n)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(n)/took.Seconds(), "tasks/s")
			b.ReportMetric(float64(n), "tasks")
			if back := sys.waiting(b) - before; back != n {
				b.Errorf("%d tasks came back, want %d", back, n)
			}
		})
	}
}

// timed is how long do took.
func timed(b *testing.B, do func(ctx context.Context) error) time.Duration {
	b.Helper()
	start := time.Now()
	if err := do(b.Context()); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}
