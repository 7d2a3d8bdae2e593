package bench

import (
	"fmt"
	"testing"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/testenv"
)

// BenchmarkBacklog handles b.N tasks with as many more waiting behind them as the name says, so that both sides go on
// fetching while they handle. The larger number is BENCH_BACKLOG, a million if it is not set; the smaller one is also the most
// that b.N can be.
func BenchmarkBacklog(b *testing.B) {
	const small = 100_000
	for _, waiting := range []int{small, setting(b, "BENCH_BACKLOG", 1_000_000)} {
		q := openQueue(b)
		q.fill(b, small+waiting)
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			if trial(b) {
				return
			}
			if b.N > small {
				b.Fatalf("%d tasks of %d: run it with -benchtime %dx at most", b.N, small, small)
			}
			// Another installation, so that each run starts at the first task.
			prefix := testenv.Unique(b)
			sys := newTasktier(b, q, func(cfg *consumer.Config) { cfg.Prefix = prefix })
			took, _ := process(b, sys, b.N)
			reportRate(b, b.N, took)
		})
	}
}
