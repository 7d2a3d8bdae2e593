package throttle

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv/bubble"
)

func TestOneEventPerPeriod(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var th Throttle
		var through atomic.Int64
		burst := func() int64 {
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					if th.Allow() {
						through.Add(1)
					}
				})
			}
			all.Wait()
			return through.Swap(0)
		}
		for i, want := range []int64{1, 0, 1} {
			if got := burst(); got != want {
				t.Errorf("burst %d: %d events are let through, want %d", i, got, want)
			}
			time.Sleep(Every/2 + time.Second)
		}
	})
}
