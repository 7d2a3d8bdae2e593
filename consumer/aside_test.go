package consumer_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

// An attempt's context ends at the least of what the task asks for and what its type or queue allows, and what the
// handler answers then counts.
func TestTimeouts(t *testing.T) {
	tests := []struct {
		typ   string
		asked time.Duration
		want  time.Duration
	}{
		{"queue", 0, 10 * time.Minute},
		{"queue", time.Second, time.Second},
		{"queue", time.Hour, 10 * time.Minute},
		{"typed", 0, time.Minute},
		{"typed", time.Second, time.Second},
		{"typed", time.Hour, time.Minute},
	}
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		took := make(chan time.Duration, len(tests))
		until := func(ctx context.Context, _ *task.Task) error {
			start := time.Now()
			<-ctx.Done()
			took <- time.Since(start)
			return ctx.Err()
		}
		handle(t, mux, "queue", until)
		handle(t, mux, "typed", until)
		cfg := s.config(mux)
		cfg.Queues[0].Timeout = 10 * time.Minute
		cfg.Types = map[string]consumer.Type{"typed": {Timeout: time.Minute}}
		n := s.start(cfg)
		for i, tt := range tests {
			s.send(tt.typ, 1, task.Timeout(tt.asked))
			if got := <-took; got != tt.want {
				t.Errorf("%s that asks for %v ended after %v, want %v", tt.typ, tt.asked, got, tt.want)
			}
			if e := s.await(i + 1)[i]; e.State != task.Dead || !errors.Is(e.Err, context.DeadlineExceeded) {
				t.Errorf("%s %v, want dead by its deadline", e.State, e.Err)
			}
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestExpiredTasksAreNotRun(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		g := newGate()
		runs := newTally()
		handle(t, mux, "stuck", g.hold)
		handle(t, mux, "late", func(_ context.Context, t *task.Task) error { runs.run(t); return nil })
		cfg := s.config(mux)
		cfg.Concurrency = 1
		n := s.start(cfg)
		s.send("stuck", 1)
		g.await(t)
		// They expire, and not, while they wait for the slot.
		s.send("late", 1, task.ExpiresIn(time.Minute), task.ID("expires"))
		s.send("late", 1, task.ExpiresIn(time.Hour), task.ID("lives"))
		time.Sleep(2 * time.Minute)
		close(g.open)
		ends := s.await(3)
		i := slices.IndexFunc(ends, func(e consumer.Settled) bool { return e.Task.ID == "expires" })
		if e := ends[i]; e.State != task.Dead || e.Reason != task.ReasonExpired {
			t.Errorf("it is %s %s, want dead, expired", e.State, e.Reason)
		}
		if runs.of("expires") != 0 || runs.of("lives") != 1 {
			t.Errorf("the expired task ran %d times, the other %d", runs.of("expires"), runs.of("lives"))
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Promise 3: never early. It takes no slot meanwhile.
func TestNotBefore(t *testing.T) {
	play(t, 2, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		started := make(chan time.Time, 20)
		due := make(map[string]time.Time)
		handle(t, mux, "later", func(_ context.Context, tk *task.Task) error {
			now := time.Now()
			if late := now.Sub(due[tk.ID]); late < 0 || late > 50*time.Millisecond {
				t.Errorf("%s ran %v after it was due", tk.ID, late)
			}
			started <- now
			return nil
		})
		handle(t, mux, "now", nothing)
		cfg := s.config(mux)
		cfg.Concurrency = 1
		s.forward()
		n := s.start(cfg)
		n.assigned(2)
		base := time.Now()
		for i, d := range []time.Duration{20 * time.Minute, 90 * time.Second, 10 * time.Millisecond * 100, -time.Minute} {
			id := string(rune('a' + i))
			due[id] = base.Add(max(d, 0))
			s.send("later", 1, task.ID(id), task.At(base.Add(d)))
		}
		s.send("now", 10)
		s.await(11)
		if passed := time.Since(base); passed > 900*time.Millisecond {
			t.Errorf("tasks without a time waited %v behind those that have one", passed)
		}
		for len(started) < 4 {
			time.Sleep(time.Minute)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

func TestBeyondTheHorizon(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		handle(t, mux, "later", nothing)
		cfg := s.config(mux)
		cfg.Queues[0].Horizon = 24 * time.Hour
		n := s.start(cfg)
		s.send("later", 1, task.In(25*time.Hour))
		if e := s.await(1)[0]; e.State != task.Dead || e.Reason != task.ReasonInvalid {
			t.Errorf("it is %s %s, want dead, invalid", e.State, e.Reason)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A snooze uses no attempt and no slot, and lasts at least a tenth of a second.
func TestSnooze(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		var starts []time.Time
		handle(t, mux, "waits", func(_ context.Context, tk *task.Task) error {
			if tk.Attempt != 1 {
				t.Errorf("attempt %d after %d snoozes", tk.Attempt, len(starts))
			}
			starts = append(starts, time.Now())
			switch len(starts) {
			case 1:
				return task.Snooze(time.Minute)
			case 2:
				return task.Snooze(0)
			case 3:
				return task.Snooze(-time.Hour)
			}
			return nil
		})
		handle(t, mux, "now", nothing)
		cfg := s.config(mux)
		cfg.Concurrency = 1
		s.forward()
		n := s.start(cfg)
		s.send("waits", 1)
		s.send("now", 1)
		if e := s.await(1)[0]; e.Task.Type != "now" {
			t.Error("a snoozing task kept its slot")
		}
		if e := s.await(2)[1]; e.State != task.Succeeded {
			t.Errorf("it is %s %v", e.State, e.Err)
		}
		for i, want := range []time.Duration{time.Minute, 100 * time.Millisecond, 100 * time.Millisecond} {
			if got := starts[i+1].Sub(starts[i]); got < want || got > want+50*time.Millisecond {
				t.Errorf("snooze %d lasted %v, want %v", i+1, got, want)
			}
		}
		if got := n.Stats()[0].Snoozed; got != 3 {
			t.Errorf("%d snoozes counted", got)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A task of a type without a handler may belong to another deployment or to the next release: it waits for its handler
// and is not dead-lettered. Pitfall 46 of docs/pitfalls.md.
func TestTaskWithoutHandlerWaitsForIt(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		s.forward()
		n := s.start(s.config(mux))
		s.send("new", 10)
		time.Sleep(40 * time.Second)
		if got := s.ends(); len(got) > 0 {
			t.Fatalf("%s ended as %s %s before its handler came", got[0].Task.ID, got[0].State, got[0].Reason)
		}
		handle(t, mux, "new", nothing)
		added := time.Now()
		for _, e := range s.await(10) {
			if e.State != task.Succeeded {
				t.Errorf("%s is %s %s", e.Task.ID, e.State, e.Reason)
			}
		}
		if passed := time.Since(added); passed > time.Minute {
			t.Errorf("the handler was found %v after it came", passed)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestUnhandledIsDeadPastTheLimit(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		cfg := s.config(consumer.NewMux())
		cfg.Queues[0].Unhandled = 3 * time.Minute
		s.forward()
		n := s.start(cfg)
		sent := time.Now()
		s.send("unknown", 1)
		time.Sleep(3*time.Minute - time.Second)
		if len(s.ends()) > 0 {
			t.Errorf("given up after %v", time.Since(sent))
		}
		time.Sleep(3 * time.Second)
		if ends := s.ends(); len(ends) != 1 || ends[0].State != task.Dead || ends[0].Reason != task.ReasonUnhandled {
			t.Errorf("%+v, want dead, unhandled", ends)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// The limit counts from when a handler was missed, not from the poll: a task that waited long for its slot is not killed
// at the first look.
func TestUnhandledCountsNoBacklog(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		g := newGate()
		handle(t, mux, "stuck", g.hold)
		cfg := s.config(mux)
		cfg.Concurrency = 1
		cfg.Queues[0].Unhandled = time.Minute
		s.forward()
		n := s.start(cfg)
		s.send("stuck", 1)
		g.await(t)
		s.send("new", 1)
		time.Sleep(10 * time.Minute)
		close(g.open)
		s.await(1)
		synctest.Wait()
		handle(t, mux, "new", nothing)
		if e := s.await(2)[1]; e.State != task.Succeeded {
			t.Errorf("it is %s %s: %v", e.State, e.Reason, e.Err)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}
