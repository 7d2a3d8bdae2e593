package retry

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/tasktier/tasktier/task"
	"pgregory.net/rapid"
)

var errLuck = errors.New("no luck")

func TestNext(t *testing.T) {
	tests := []struct {
		name     string
		policy   Policy
		attempt  int
		asked    int
		err      error
		again    bool
		from, to time.Duration
	}{
		{"the first delay", Policy{}, 1, 0, errLuck, true, 0, time.Second},
		{"doubles", Policy{Base: time.Second}, 4, 0, errLuck, true, 0, 8 * time.Second},
		{"is bounded", Policy{Max: time.Minute}, 20, 0, errLuck, true, 0, time.Minute},
		{"the last attempt", Policy{MaxAttempts: 3}, 3, 0, errLuck, false, 0, 0},
		{"the one before", Policy{MaxAttempts: 3}, 2, 0, errLuck, true, 0, 2 * time.Second},
		{"asked for fewer", Policy{MaxAttempts: 9}, 2, 2, errLuck, false, 0, 0},
		{"asked for more", Policy{MaxAttempts: 2}, 2, 9, errLuck, false, 0, 0},
		{"beyond the limit", Policy{MaxAttempts: 2}, 7, 0, errLuck, false, 0, 0},
		{"permanent", Policy{}, 1, 0, fmt.Errorf("x: %w", task.Permanent(errLuck)), false, 0, 0},
		{"names its delay", Policy{}, 1, 0, task.RetryAfter(time.Hour, errLuck), true, time.Hour, time.Hour},
		{"names it beyond the bound", Policy{Max: time.Minute}, 1, 0, task.RetryAfter(time.Hour, errLuck), true, time.Hour, time.Hour},
		{"names a negative one", Policy{}, 1, 0, task.RetryAfter(-1, errLuck), true, 0, 0},
		{"names it at the last attempt", Policy{MaxAttempts: 1}, 1, 0, task.RetryAfter(time.Hour, errLuck), false, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			delay, again := tt.policy.Next(tt.attempt, tt.asked, tt.err)
			if again != tt.again || delay < tt.from || delay > tt.to {
				t.Errorf("got %v, %v; want %v between %v and %v", delay, again, tt.again, tt.from, tt.to)
			}
		})
	}
}

// TestDelaysAreBounded: no policy and no attempt, however large, leads to a negative or unbounded delay.
func TestDelaysAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{
			MaxAttempts: math.MaxInt,
			Base:        time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "base")),
			Max:         time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "max")),
		}
		attempt := rapid.IntRange(-1, 1<<40).Draw(t, "attempt")
		delay, again := p.Next(attempt, 0, errLuck)
		if !again || delay < 0 || delay > p.Max {
			t.Fatalf("attempt %d: %v, %v", attempt, delay, again)
		}
	})
}

// TestJitterIsFull: delays are spread over the whole range, half of them below its middle.
func TestJitterIsFull(t *testing.T) {
	const n = 10_000
	below, lowest, highest := 0, time.Hour, time.Duration(0)
	for range n {
		d, _ := Policy{Base: time.Second}.Next(1, 0, errLuck)
		if d < time.Second/2 {
			below++
		}
		lowest, highest = min(lowest, d), max(highest, d)
	}
	if below < n*45/100 || below > n*55/100 || lowest > 10*time.Millisecond || highest < 990*time.Millisecond {
		t.Errorf("%d of %d are below the middle, from %v to %v", below, n, lowest, highest)
	}
}
