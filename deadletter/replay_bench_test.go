package deadletter_test

import (
	"testing"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/testenv"
)

// BenchmarkReplay replays letters of some 600 bytes on real servers: the reading, the claims, the tasks and the tombstones.
func BenchmarkReplay(b *testing.B) {
	letters := size(b)
	for name, redis := range map[string]bool{"claims": true, "none": false} {
		b.Run(name, func(b *testing.B) {
			addr := ""
			if redis {
				addr = testenv.Redis(b)
			}
			peak := watchHeap(b)
			for b.Loop() {
				b.StopTimer()
				r := newGround(b, testenv.Kafka(b), 24, nil).revive(addr, 24)
				r.flood(b.Context(), letters)
				b.StartTimer()
				if result := r.replay(deadletter.Filter{}, deadletter.ReplayOptions{}); result.Replayed != letters {
					b.Fatalf("%+v", result)
				}
			}
			b.ReportMetric(float64(letters)*float64(b.N)/b.Elapsed().Seconds(), "letters/s")
			b.ReportMetric(float64(peak())/(1<<20), "peak-MB")
		})
	}
}
