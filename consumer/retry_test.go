package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/retry"
	"github.com/tasktier/tasktier/task"
)

// A failed task comes back when the policy or the handler says, as the next turn and attempt, and holds nothing back
// meanwhile. Its letter has the first and the last error.
func TestFailuresComeBack(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		var starts []time.Time
		var turns []string
		handle(t, mux, "fails", func(_ context.Context, tk *task.Task) error {
			starts = append(starts, time.Now())
			turns = append(turns, fmt.Sprintf("%d.%d", tk.Turn, tk.Attempt))
			err := fmt.Errorf("error %d", tk.Attempt)
			switch tk.Attempt {
			case 1:
				return task.RetryAfter(10*time.Second, err)
			case 2:
				return task.RetryAfter(3*time.Hour, err)
			}
			return err
		})
		handle(t, mux, "ok", nothing)
		cfg := s.config(mux)
		cfg.Queues[0].Retry = retry.Policy{MaxAttempts: 3}
		s.forward()
		n := s.start(cfg)
		n.assigned(1)
		s.send("fails", 1)
		s.send("ok", 1)
		s.await(1)
		eventually(t, "the commit of both", func() bool { return s.lag() == 0 })
		if len(starts) != 1 {
			t.Errorf("%d attempts before the first delay is over", len(starts))
		}
		time.Sleep(4 * time.Hour)
		if e := s.await(2)[1]; e.State != task.Dead || e.Reason != task.ReasonExhausted {
			t.Errorf("it is %s %s", e.State, e.Reason)
		}
		if want := []string{"1.1", "2.2", "3.3"}; !slices.Equal(turns, want) {
			t.Fatalf("turns and attempts %v, want %v", turns, want)
		}
		for i, want := range []time.Duration{10 * time.Second, 3 * time.Hour} {
			if got := starts[i+1].Sub(starts[i]); got < want || got > want+50*time.Millisecond {
				t.Errorf("delay %d lasted %v, want %v", i+1, got, want)
			}
		}
		stamp, err := record.ReadStamp(s.letters()[0])
		if err != nil || stamp.Err != "error 3" || stamp.FirstErr != "error 1" || stamp.Attempt != 3 {
			t.Errorf("the letter says %+v, %v", stamp, err)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// In an ordered queue a failed task is tried again in place, and those of its key wait behind it.
func TestOrderedFailuresStayInPlace(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		var got []string
		handle(t, mux, "job", func(_ context.Context, tk *task.Task) error {
			got = append(got, fmt.Sprintf("%s.%d", tk.ID, tk.Attempt))
			if tk.ID == "job-0" && tk.Attempt < 3 {
				return task.RetryAfter(time.Hour, errors.New("no luck"))
			}
			return nil
		})
		cfg := s.config(mux)
		cfg.Queues[0].Ordered = true
		cfg.Queues[0].Retry = retry.Policy{MaxAttempts: 3}
		n := s.start(cfg)
		began := time.Now()
		s.send("job", 2, task.Key("k"))
		time.Sleep(5 * time.Minute)
		s.await(2)
		if want := []string{"job-0.1", "job-0.2", "job-0.3", "job-1.1"}; !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
		if took := time.Since(began); took > 6*time.Minute {
			t.Errorf("a lane waited %v", took)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}
