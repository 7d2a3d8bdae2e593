package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/retry"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A failed task comes back when the policy or the handler says, as the next turn and attempt, and holds nothing back
// meanwhile. Its letter has the first and the last error.
func TestFailuresComeBack(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		var mu sync.Mutex
		var starts []time.Time
		var turns []string
		handle(t, mux, "fails", func(_ context.Context, tk *task.Task) error {
			mu.Lock()
			defer mu.Unlock()
			starts = append(starts, time.Now())
			turns = append(turns, fmt.Sprintf("%d.%d", tk.Turn, tk.Attempt))
			err := fmt.Errorf("error %d", tk.Attempt)
			switch tk.Attempt {
			case 1:
				return task.RetryAfter(10*time.Second, err)
			case 2:
				return task.RetryAfter(90*time.Minute, err)
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
		mu.Lock()
		if len(starts) != 1 {
			t.Errorf("%d attempts before the first delay is over", len(starts))
		}
		mu.Unlock()
		if e := s.awaitWithin(2*time.Hour, 2)[1]; e.State != task.Dead || e.Reason != task.ReasonExhausted {
			t.Errorf("it is %s %s", e.State, e.Reason)
		}
		if want := []string{"1.1", "2.2", "3.3"}; !slices.Equal(turns, want) {
			t.Fatalf("turns and attempts %v, want %v", turns, want)
		}
		for i, want := range []time.Duration{10 * time.Second, 90 * time.Minute} {
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

// The offset of a failed task is completed when its next turn is acknowledged, and not before.
func TestRefusedRetryHoldsTheOffset(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		handle(t, mux, "flaky", func(_ context.Context, tk *task.Task) error {
			if tk.Attempt == 1 {
				return task.RetryAfter(20*time.Minute, errors.New("no luck"))
			}
			return nil
		})
		handle(t, mux, "ok", nothing)
		cfg := s.config(mux)
		cfg.Queues[0].Retry = retry.Policy{MaxAttempts: 2}
		s.forward()
		refuse := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: names.RetryMinute("tasktier"), Err: kerr.TopicAuthorizationFailed, Count: -1})
		n := s.start(cfg)
		s.send("ok", 5)
		s.send("flaky", 1)
		s.send("ok", 20)
		s.await(25)
		if err := refuse.Wait(s.context(), 4); err != nil {
			t.Fatalf("only %d tries: %v", refuse.Hits(), err)
		}
		time.Sleep(5 * time.Second)
		if got := s.committed(0); got != 5 {
			t.Errorf("committed %d while the retry of offset 5 is refused", got)
		}
		refuse.Remove()
		if e := s.awaitWithin(21*time.Minute, 26)[25]; e.State != task.Succeeded || e.Task.Attempt != 2 {
			t.Errorf("it is %s in attempt %d", e.State, e.Task.Attempt)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// A task that outgrew the tiers, even without its errors, is dead as oversize.
func TestOversizeIsALetter(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		handle(t, mux, "fails", func(context.Context, *task.Task) error {
			return task.RetryAfter(time.Minute, errors.New("no luck")) // what is due by now goes past the tier
		})
		cfg := s.config(mux)
		cfg.Queues[0].Retry = retry.Policy{MaxAttempts: 9}
		refuse := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: names.RetryMinute("tasktier"), Err: kerr.MessageTooLarge, Count: -1})
		n := s.start(cfg)
		s.send("fails", 1)
		if e := s.await(1)[0]; e.State != task.Dead || e.Reason != task.ReasonOversize {
			t.Errorf("it is %s %s, %v", e.State, e.Reason, e.Err)
		}
		if got := refuse.Hits(); got != 3 {
			t.Errorf("%d tries, want one with others, one alone, and one without its errors", got)
		}
		if got := len(s.letters()); got != 1 {
			t.Errorf("%d letters", got)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A failure costs one attempt of its task and none of the tasks behind it, with retries through the tiers and in place
// alike. Pitfall 15 of docs/pitfalls.md.
func TestFailedTaskRunsNoOtherAgain(t *testing.T) {
	const tasks, attempts = 30, 3
	for _, ordered := range []bool{false, true} {
		t.Run(fmt.Sprintf("ordered=%t", ordered), func(t *testing.T) {
			play(t, 1, func(t *testing.T, s *stage) {
				runs := newTally()
				cfg := s.config(counting(t, runs, func(context.Context, *task.Task) error {
					return task.RetryAfter(time.Second, errors.New("no luck"))
				}))
				cfg.Queues[0].Ordered = ordered
				cfg.Queues[0].Retry = retry.Policy{MaxAttempts: attempts}
				s.forward()
				n := s.start(cfg)
				s.send("job", tasks, task.Key("k"))
				s.await(tasks)
				for i := range tasks {
					if got := runs.of(fmt.Sprintf("job-%d", i)); got != attempts {
						t.Errorf("job-%d ran %d times, want %d", i, got, attempts)
					}
				}
				n.halt()
			})
		})
	}
}
