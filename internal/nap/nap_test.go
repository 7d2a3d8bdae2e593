package nap

import (
	"context"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv/bubble"
)

func TestFor(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if !For(ctx, time.Second) || time.Since(began) != time.Second {
			t.Errorf("a second took %v", time.Since(began))
		}
		if For(ctx, time.Hour) || time.Since(began) != time.Minute {
			t.Errorf("the end of the context was noticed after %v", time.Since(began))
		}
	})
}

// The backoff goes on after the 15 minutes at which the library stops by default. Pitfall 40 of docs/pitfalls.md.
func TestBackoffDoesNotEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		pauses := Backoff(time.Second, time.Minute)
		for range 100 {
			pause := pauses.NextBackOff()
			if pause <= 0 || pause > 2*time.Minute {
				t.Fatalf("a pause of %v", pause)
			}
			time.Sleep(pause)
		}
	})
}
