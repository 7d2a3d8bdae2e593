package schedule

import (
	"context"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv/bubble"
)

// What a leader has begun when its term ends may be finished, but not for longer than that.
func TestOutliving(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ends  time.Duration // the term; 0: before it is asked
		after time.Duration
	}{
		{"the term ends", 3 * time.Second, 3*time.Second + finish},
		{"it has ended", 0, finish},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				begun := time.Now()
				term, cancel := context.WithTimeout(t.Context(), tt.ends)
				defer cancel()
				ctx, done := outliving(term, finish)
				defer done()
				<-ctx.Done()
				if took := time.Since(begun); took != tt.after {
					t.Errorf("it ended after %s, want %s", took, tt.after)
				}
			})
		})
	}
	bubble.Test(t, func(t *testing.T) {
		ctx, done := outliving(t.Context(), finish)
		done()
		if ctx.Err() == nil {
			t.Error("it goes on after it was done with")
		}
	})
}
