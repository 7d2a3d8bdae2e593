package consumer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv/consumertest"
	"github.com/tasktier/tasktier/task"
)

// cancel asks for a task not to run, or to end.
func (c *claims) cancel(id string) claim.Cancellation {
	c.t.Helper()
	done, err := c.store.Cancel(c.t.Context(), consumertest.Identity(id), claim.Window{})
	if err != nil {
		c.t.Fatal(err)
	}
	return done
}

// A task that is canceled before it starts never starts, whether it was not sent yet, waited for a worker or waited for
// its next attempt. The cancellation also holds for a replay, until the deduplication window ends. Pitfall 62 of
// docs/pitfalls.md.
func TestCancelBeforeTheStart(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		runs := newTally()
		g := newGate()
		mux := counting(t, runs, func(ctx context.Context, tk *task.Task) error {
			switch tk.ID {
			case "busy":
				return g.hold(ctx, tk)
			case "again":
				return task.RetryAfter(10*time.Second, errors.New("no luck"))
			}
			return nil
		})
		s.forward()
		cfg := c.of(s.config(mux))
		cfg.Concurrency = 1
		cfg.Queues[0].Retry.MaxAttempts = 5
		n := s.start(cfg)
		n.assigned(1)
		s.send("job", 1, task.ID("again"))
		eventually(t, "its failure", func() bool { return c.look("again").State == claim.Retrying })
		c.cancel("unsent")
		s.send("job", 1, task.ID("unsent"))
		s.send("job", 1, task.ID("busy"))
		g.await(t)
		s.send("job", 1, task.ID("ready"))
		n.until("one that waits", func(s consumer.Stats) bool { return s.Ready == 1 })
		for _, id := range []string{"ready", "again"} {
			if got := c.cancel(id); got.After != task.Canceled && !got.Asked { // it may have been begun ahead
				t.Errorf("canceling one that is %s: %+v", id, got)
			}
		}
		time.Sleep(10 * time.Second) // one that was begun hears of it
		close(g.open)
		time.Sleep(time.Minute)
		s.all()
		n.halt()
		for id, want := range map[string]int{"unsent": 0, "ready": 0, "again": 1} {
			if got := runs.of(id); got != want {
				t.Errorf("one that was %s ran %d times, want %d", id, got, want)
			}
			if got := c.look(id); got.State != claim.Canceled {
				t.Errorf("the claim of one that was %s says %q", id, got)
			}
		}
	})
}

// A run that is canceled is told so; whatever it answers but success and death ends as canceled, and nothing comes back.
func TestCancelWhileItRuns(t *testing.T) {
	answers := map[string]struct {
		answer error
		want   task.State
	}{
		"obeys":     {context.Canceled, task.Canceled},
		"fails":     {errors.New("no luck"), task.Canceled},
		"snoozes":   {task.Snooze(time.Second), task.Canceled},
		"succeeds":  {nil, task.Succeeded},
		"gives up":  {task.Permanent(errors.New("no such account")), task.Dead},
		"panics":    {nil, task.Canceled},
		"exhausted": {errors.New("no luck"), task.Canceled},
	}
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		entered := make(chan string, len(answers))
		mux := consumer.NewMux()
		handle(t, mux, "job", func(ctx context.Context, tk *task.Task) error {
			entered <- tk.ID
			<-ctx.Done()
			if tk.ID == "panics" {
				panic(ctx.Err())
			}
			return answers[tk.ID].answer
		})
		s.forward()
		cfg := c.of(s.config(mux))
		cfg.Queues[0].Retry.MaxAttempts = 2
		n := s.start(cfg)
		for id := range answers {
			s.send("job", 1, task.ID(id))
		}
		for range answers {
			<-entered
		}
		asked := time.Now()
		for id := range answers {
			if got := c.cancel(id); got.After != task.Running || !got.Asked {
				t.Errorf("%+v", got)
			}
		}
		ends := s.await(len(answers))
		if took := time.Since(asked); took > time.Second {
			t.Errorf("they were told after %v", took)
		}
		for _, e := range ends {
			if want := answers[e.Task.ID].want; e.State != want {
				t.Errorf("one that %s ended as %s, want %s", e.Task.ID, e.State, want)
			}
		}
		s.all()
		n.halt()
		for id, a := range answers {
			if got := c.look(id).TaskState(time.Now()); got != a.want {
				t.Errorf("the claim of one that %s says %s, want %s", id, got, a.want)
			}
		}
		if got := n.Stats()[0]; got.Retried+got.Snoozed != 0 {
			t.Errorf("%+v: something was to come back", got)
		}
	})
}

// A message that was lost is noticed at the next refresh.
func TestCancelWithoutItsMessage(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		g := newGate()
		mux := consumer.NewMux()
		handle(t, mux, "job", g.obey)
		n := s.start(c.of(s.config(mux)))
		s.send("job", 1)
		g.await(t)
		time.Sleep(time.Minute)
		asks := c.look("job-0")
		asks.Flags |= claim.CancelAsked
		c.put("job-0", asks)
		asked := time.Now()
		if e := s.await(1)[0]; e.State != task.Canceled {
			t.Errorf("it is %s", e.State)
		}
		if took := time.Since(asked); took > 10*time.Second {
			t.Errorf("it was told after %v", took)
		}
		n.halt()
	})
}

// A task that waits in its lane for its next attempt, and is canceled there, does not start again; the lane goes on at once.
func TestCancelInALane(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		runs := newTally()
		mux := counting(t, runs, func(_ context.Context, tk *task.Task) error {
			if tk.ID == "first" {
				return task.RetryAfter(30*time.Second, errors.New("no luck"))
			}
			return nil
		})
		cfg := c.of(ordered(s, mux))
		cfg.Queues[0].Retry.MaxAttempts = 100
		n := s.start(cfg)
		s.send("job", 1, task.ID("first"), task.Key("k"))
		s.send("job", 1, task.ID("second"), task.Key("k"))
		eventually(t, "the failure", func() bool { return c.look("first").Attempt == 2 })
		c.cancel("first")
		asked := time.Now()
		s.await(2)
		if took := time.Since(asked); took > 10*time.Second {
			t.Errorf("the lane went on after %v", took)
		}
		if first, second := c.look("first"), c.look("second"); first.State != claim.Canceled || second.State != claim.Succeeded || runs.of("first") != 1 {
			t.Errorf("the claims say %q after %d runs, and %q", first, runs.of("first"), second)
		}
		s.all()
		n.halt()
	})
}

// Whoever takes over what was to be canceled does not run it.
func TestCancelOutlivesItsRun(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		asked := ghost("gone")
		asked.Flags = claim.CancelAsked
		c.put("job-0", asked)
		runs := newTally()
		n := s.start(c.of(s.config(counting(t, runs, nothing))))
		s.send("job", 1)
		s.all()
		n.halt()
		if got := c.look("job-0"); got.State != claim.Canceled || runs.of("job-0") != 0 {
			t.Errorf("its claim says %q after %d runs", got, runs.of("job-0"))
		}
	})
}

// A replay that was under way when its task was canceled does not run; one of a task that was canceled in its run does:
// it was asked for later.
func TestCancelAndReplay(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		g := newGate()
		runs := newTally()
		n := s.start(c.of(s.config(counting(t, runs, func(ctx context.Context, tk *task.Task) error {
			if tk.Generation == 0 {
				return g.obey(ctx, tk)
			}
			return nil
		}))))
		c.cancel("job-1")
		s.send("job", 1)
		g.await(t)
		c.cancel("job-0")
		s.await(1)
		s.send("job", 2) // again, both: done
		for _, r := range []string{"job-0", "job-1"} {
			tk := task.New("job", nil, task.ID(r), task.Source("/test"))
			tk.Generation = 1
			s.raw(record.Move(record.Encode(tk, names.Pending("tasks")), names.Pending("tasks"), nil, record.Stamp{Generation: 1, Turn: 1, Attempt: 1}))
		}
		s.all()
		n.halt()
		if runs.of("job-0") != 2 || runs.of("job-1") != 0 {
			t.Errorf("runs %v, want two of job-0 and none of job-1", runs.order())
		}
	})
}
