package control

import (
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv/bubble"
)

// The backoff goes on after the 15 minutes at which the library stops by default. Pitfall 40 of docs/pitfalls.md.
func TestBackoffDoesNotEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		pause := newPause()
		time.Sleep(time.Hour)
		for range 100 {
			if d := pause.NextBackOff(); d <= 0 || d > 2*longestPause {
				t.Fatalf("after an hour the pause is %s", d)
			}
		}
	})
}
