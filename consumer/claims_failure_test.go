package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A failure is told in the claim: of which turn and attempt, when it comes back, and why. When no attempt is left there is
// one letter, and the details say what the letter does.
func TestClaimsTellOfFailures(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux := consumer.NewMux()
		handle(t, mux, "job", func(_ context.Context, tk *task.Task) error {
			return task.RetryAfter(20*time.Second, fmt.Errorf("error %d", tk.Attempt))
		})
		s.forward()
		cfg := c.of(s.config(mux))
		cfg.Queues[0].Retry.MaxAttempts = 3
		n := s.start(cfg)
		n.assigned(1)
		s.send("job", 1)
		for attempt := 1; attempt < 3; attempt++ {
			eventually(t, "its failure", func() bool {
				got := c.look("job-0")
				return got.State == claim.Retrying && got.Attempt == attempt+1
			})
			got := c.look("job-0")
			if wait := time.Until(got.Time()); got.Turn != attempt+1 || wait < 19*time.Second || wait > 20*time.Second {
				t.Errorf("after attempt %d its claim says %q, due in %v", attempt, got, wait)
			}
			if d := c.details("job-0"); d.Error != fmt.Sprintf("error %d", attempt) || d.FirstError != "error 1" || d.Reason != "" {
				t.Errorf("after attempt %d the details say %+v", attempt, d)
			}
		}
		s.await(1)
		s.all()
		n.halt()
		if got := c.look("job-0"); got.State != claim.Dead || got.Attempt != 3 || got.Turn != 3 {
			t.Errorf("its claim says %q", got)
		}
		if d := c.details("job-0"); d.Error != "error 3" || d.FirstError != "error 1" || d.Reason != task.ReasonExhausted {
			t.Errorf("the details say %+v", d)
		}
		letters := s.letters()
		if stamp, err := record.ReadStamp(letters[0]); len(letters) != 1 || err != nil || stamp.Reason != task.ReasonExhausted {
			t.Errorf("%d letters, which say %+v, %v", len(letters), stamp, err)
		}
	})
}

// How a task ends that no handler finished, and how one waits that does not count as failed.
func TestClaimsTellOfOtherEnds(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux := consumer.NewMux()
		handle(t, mux, "snoozes", func(context.Context, *task.Task) error { return task.Snooze(10 * time.Minute) })
		handle(t, mux, "expired", nothing)
		cfg := c.of(s.config(mux))
		cfg.Queues[0].Unhandled = time.Hour
		n := s.start(cfg)
		s.send("snoozes", 1)
		s.send("unknown", 1)
		s.send("expired", 1, task.Expires(time.Now().Add(-time.Second)))
		s.all()
		n.halt()
		for id, want := range map[string]claim.Claim{
			"snoozes-0": {State: claim.Pending, Turn: 2, Attempt: 1},
			"unknown-0": {State: claim.Pending, Turn: 2, Attempt: 1},
			"expired-0": {State: claim.Dead, Turn: 1, Attempt: 1},
		} {
			if got := c.look(id); got.State != want.State || got.Turn != want.Turn || got.Attempt != want.Attempt {
				t.Errorf("the claim of %s says %q", id, got)
			}
		}
		if got := c.details("expired-0").Reason; got != task.ReasonExpired {
			t.Errorf("the details say %q", got)
		}
	})
}

// A process that dies between its word that a task is dying and the letter leaves it to the next one, which writes it
// from the details and does not run the task. There is one letter.
func TestDeathBetweenWordAndLetter(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		runs := newTally()
		mux := counting(t, runs, func(context.Context, *task.Task) error {
			return task.Permanent(errors.New("no such account"))
		})
		refuse := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: names.Dead("tasks"), Err: kerr.NotEnoughReplicas, Count: -1})
		first := s.start(c.of(s.config(mux)))
		s.send("job", 1)
		eventually(t, "its last word", func() bool { return c.look("job-0").State == claim.Dying })
		time.Sleep(10 * time.Second)
		if d := c.details("job-0"); d.Reason != task.ReasonFailed || d.Error != "no such account" {
			t.Errorf("the details say %+v", d)
		}
		first.Abort()
		first.halt()
		refuse.Remove()
		if got := c.look("job-0"); got.State != claim.Dying || len(s.letters()) != 0 {
			t.Fatalf("its claim says %q, %d letters", got, len(s.letters()))
		}
		c.lose()
		c.open()
		next := s.start(c.of(s.config(mux)))
		if e := s.await(1)[0]; e.Reason != task.ReasonFailed || e.Err == nil || e.Err.Error() != "no such account" {
			t.Errorf("it is %s %s: %v", e.State, e.Reason, e.Err)
		}
		s.all()
		next.halt()
		if len(s.letters()) != 1 || runs.of("job-0") != 1 || c.look("job-0").State != claim.Dead {
			t.Errorf("%d letters after %d runs, its claim says %q", len(s.letters()), runs.of("job-0"), c.look("job-0"))
		}
	})
}

// In an ordered queue a task is tried again in place; its claim says which attempt it is at, and goes on from there after a
// takeover, and a crash uses none up. The order of its key is kept.
func TestClaimsInALane(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		var got []string
		die := newGate()
		mux := consumer.NewMux()
		handle(t, mux, "job", func(ctx context.Context, tk *task.Task) error {
			got = append(got, fmt.Sprintf("%s.%d", tk.ID, tk.Attempt))
			switch {
			case tk.ID == "job-0" && tk.Attempt < 3:
				return task.RetryAfter(10*time.Second, errors.New("no luck"))
			case tk.ID == "job-0" && len(got) == 3:
				return die.obey(ctx, tk)
			}
			return nil
		})
		cfg := c.of(ordered(s, mux))
		cfg.Queues[0].Retry.MaxAttempts = 3
		first := s.start(cfg)
		first.assigned(1)
		s.send("job", 3, task.Key("k"))
		eventually(t, "the first failure", func() bool { return c.look("job-0").Attempt == 2 })
		if text := c.look("job-0"); text.State != claim.Running || text.Turn != 1 {
			t.Errorf("its claim says %q while it waits in place", text)
		}
		die.await(t)
		if text := c.look("job-0"); text.Attempt != 3 {
			t.Errorf("its claim says %q in the third attempt", text)
		}
		c.lose() // the handler gives up; its process does not come back
		first.Abort()
		_ = first.stop()
		c.open()
		next := s.start(cfg)
		s.await(3)
		s.all()
		next.halt()
		if want := []string{"job-0.1", "job-0.2", "job-0.3", "job-0.3", "job-1.1", "job-2.1"}; !slices.Equal(got, want) {
			t.Errorf("they ran as %v, want %v", got, want)
		}
	})
}

// What a handler says of its run is to be seen while it runs, its result when it has succeeded. Its fence is the claim's.
func TestClaimsKeepWhatAHandlerSays(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		g := newGate()
		mux := consumer.NewMux()
		var fence int64
		handle(t, mux, "job", func(ctx context.Context, tk *task.Task) error {
			task.Progress(ctx, 0.25, "a quarter")
			fence = task.Fence(ctx)
			if err := task.Result(ctx, []byte("the result")); err != nil {
				t.Error(err)
			}
			if err := task.Result(ctx, make([]byte, task.MaxResult+1)); !errors.Is(err, task.ErrResultTooLarge) {
				t.Errorf("a large result: %v", err)
			}
			return g.hold(ctx, tk)
		})
		handle(t, mux, "large", func(ctx context.Context, _ *task.Task) error {
			return task.Result(ctx, []byte(strings.Repeat("x", task.MaxResult)))
		})
		handle(t, mux, "fails", func(ctx context.Context, _ *task.Task) error {
			_ = task.Result(ctx, []byte("of no worth"))
			return errors.New("no luck")
		})
		n := s.start(c.of(s.config(mux)))
		s.send("job", 1)
		g.await(t)
		time.Sleep(3 * time.Second)
		if d := c.details("job-0"); d.Progress != 0.25 || d.Note != "a quarter" || d.Result != nil {
			t.Errorf("the details say %+v while it runs", d)
		}
		if got := c.look("job-0"); got.Fence != fence || fence == 0 {
			t.Errorf("its claim says %q, its fence is %d", got, fence)
		}
		close(g.open)
		s.send("large", 1)
		s.send("fails", 1)
		s.await(3)
		n.halt()
		if d := c.details("job-0"); string(d.Result) != "the result" {
			t.Errorf("the details say %+v in the end", d)
		}
		if d := c.details("large-0"); len(d.Result) != task.MaxResult {
			t.Errorf("a large result has %d bytes", len(d.Result))
		}
		if d := c.details("fails-0"); d.Result != nil {
			t.Errorf("a failure has the result %q", d.Result)
		}
	})
}

// The happy path leaves nothing beside its claim.
func TestTheHappyPathHasNoDetails(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		n := s.start(c.of(s.config(counting(t, newTally(), nothing))))
		s.send("job", 50)
		s.await(50)
		n.halt()
		for _, key := range c.redis.Keys() {
			if strings.HasSuffix(key, ":d") {
				t.Errorf("there is %s", key)
			}
		}
	})
}

// A task too large for the retry tiers dies of it, once.
func TestClaimsOfTheOversize(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux := consumer.NewMux()
		handle(t, mux, "job", func(context.Context, *task.Task) error { return task.RetryAfter(10*time.Second, errors.New("no luck")) })
		s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: names.RetryMinute("tasktier"), Err: kerr.MessageTooLarge, Count: -1})
		cfg := c.of(s.config(mux))
		cfg.Queues[0].Retry.MaxAttempts = 2
		n := s.start(cfg)
		s.send("job", 1)
		if e := s.await(1)[0]; e.Reason != task.ReasonOversize {
			t.Errorf("it is %s %s", e.State, e.Reason)
		}
		s.all()
		n.halt()
		if got := c.look("job-0"); got.State != claim.Dead || c.details("job-0").Reason != task.ReasonOversize {
			t.Errorf("its claim says %q, the details %+v", got, c.details("job-0"))
		}
	})
}
