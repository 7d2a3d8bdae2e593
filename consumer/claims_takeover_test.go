package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv/consumertest"
	"github.com/tasktier/tasktier/internal/testenv/inmemory"
	"github.com/tasktier/tasktier/task"
)

// What another process runs is left to it, however long that takes. When the process is gone its task runs here within
// seconds: it is one crash older and not one attempt, and its fence is larger.
func TestClaimsTakeOver(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		c.set("ghost", true)
		before := ghost("ghost")
		before.Attempt = 2 // tried in place before
		c.put("job-0", before)
		var got *task.Task
		var fence int64
		mux := consumer.NewMux()
		handle(t, mux, "job", func(ctx context.Context, tk *task.Task) error {
			got, fence = tk, task.Fence(ctx)
			return nil
		})
		cfg := c.of(s.config(mux))
		cfg.Queues[0].Retry.MaxAttempts = 2
		n := s.start(cfg)
		s.send("job", 1)
		time.Sleep(5 * time.Minute)
		if got != nil || c.look("job-0") != before {
			t.Fatalf("what another runs was run, or touched: %q", c.look("job-0"))
		}
		c.set("ghost", false)
		left := time.Now()
		s.await(1)
		if took := time.Since(left); took > 3*time.Second {
			t.Errorf("it was taken over after %v", took)
		}
		if got.Attempt != 2 || fence <= before.Fence {
			t.Errorf("it ran as attempt %d under fence %d, want 2 and more than %d", got.Attempt, fence, before.Fence)
		}
		n.halt()
		if after := c.look("job-0"); after.State != claim.Succeeded || after.Crashes != 1 || after.Fence != fence || after.Flags != claim.TakenOver {
			t.Errorf("its claim says %q", after)
		}
	})
}

// A task that was interrupted by the death of its node keeps all the attempts of its retry policy. Pitfall 47 of
// docs/pitfalls.md.
func TestCrashUsesNoAttempt(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		crashed := ghost("gone")
		crashed.Crashes = 0
		c.put("job-0", crashed)
		runs := newTally()
		cfg := c.of(s.config(counting(t, runs, func(context.Context, *task.Task) error {
			return task.RetryAfter(time.Second, errors.New("no luck"))
		})))
		cfg.Queues[0].Retry.MaxAttempts = 3
		s.forward()
		n := s.start(cfg)
		s.send("job", 1)
		if e := s.await(1)[0]; e.Reason != task.ReasonExhausted || runs.of("job-0") != 3 {
			t.Errorf("it is %s %s after %d runs, want exhausted after 3", e.State, e.Reason, runs.of("job-0"))
		}
		n.halt()
	})
}

// The registry being away, nothing is taken from anybody.
func TestNothingIsTakenOnASuspicion(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		c.put("job-0", ghost("gone"))
		runs := newTally()
		cfg := c.of(s.config(counting(t, runs, nothing)))
		away := &silentRegistry{Member: c.member, err: errors.New("no quorum")}
		cfg.Members = away
		n := s.start(cfg)
		s.send("job", 2)
		s.await(1)
		time.Sleep(3 * time.Minute)
		if got := runs.of("job-0"); got != 0 {
			t.Error("a task was taken from a process of which nobody knew whether it lives")
		}
		away.mu.Lock()
		away.err = nil
		away.mu.Unlock()
		s.await(2)
		n.halt()
	})
}

type silentRegistry struct {
	*inmemory.Member
	mu  sync.Mutex
	err error
}

func (r *silentRegistry) Alive(ctx context.Context, session string) (bool, error) {
	r.mu.Lock()
	err := r.err
	r.mu.Unlock()
	if err != nil {
		return false, err
	}
	return r.Member.Alive(ctx, session)
}

// Before the last crash that a task is allowed it runs alone: what is at work ends first, nothing else starts meanwhile,
// and its claim says so.
func TestTheLastRunIsAlone(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		suspect := ghost("gone")
		suspect.Crashes, suspect.Type = 2, "suspect" // with others beside it: it may be innocent
		c.put("suspect-0", suspect)
		mux := consumer.NewMux()
		runs := newTally()
		long, alone := newGate(), newGate()
		var running atomic.Int32
		handle(t, mux, "long", func(ctx context.Context, tk *task.Task) error {
			runs.run(tk)
			running.Add(1)
			defer running.Add(-1)
			return long.hold(ctx, tk)
		})
		handle(t, mux, "quick", func(_ context.Context, tk *task.Task) error {
			runs.run(tk)
			return nil
		})
		handle(t, mux, "suspect", func(ctx context.Context, tk *task.Task) error {
			if got := running.Load(); got != 0 {
				t.Errorf("%d others run beside it", got)
			}
			runs.run(tk)
			if got := c.look(tk.ID); got.Flags&claim.Alone == 0 || got.Crashes != 2 {
				t.Errorf("its claim says %q", got)
			}
			return alone.hold(ctx, tk)
		})
		n := s.start(c.of(s.config(mux)))
		n.assigned(1)
		s.send("long", 3)
		for range 3 {
			long.await(t)
		}
		s.send("suspect", 1)
		n.until("the takeover", func(consumer.Stats) bool { return c.look("suspect-0").Owner != "gone" })
		time.Sleep(time.Second)
		s.send("quick", 50)
		time.Sleep(5 * time.Second)
		if got := len(runs.order()); got != 3 {
			t.Errorf("%d tasks run while one waits to be alone, want the 3 that ran before", got)
		}
		close(long.open)
		alone.await(t)
		time.Sleep(5 * time.Minute)
		if got := len(runs.order()); got != 4 {
			t.Errorf("%d tasks ran until the end of the one that is alone, want 3 and itself", got)
		}
		close(alone.open)
		s.await(54)
		n.halt()
		runs.once(t, "quick", 50)
		if got := c.look("suspect-0"); got.State != claim.Succeeded || got.Flags&claim.Alone != 0 {
			t.Errorf("its claim says %q in the end", got)
		}
	})
}

// While nobody can say whether the owner of many tasks lives, the others run: what is asked about, again and again, takes no
// part in what is begun ahead.
func TestWhatIsHeldKeepsNothingFromStarting(t *testing.T) {
	const held, others = 100, 1000
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		c.registry.Disconnect()
		for i := range held {
			c.put(fmt.Sprint("job-", i), ghost("gone"))
		}
		mux := consumer.NewMux()
		handle(t, mux, "job", nothing)
		handle(t, mux, "quick", func(context.Context, *task.Task) error {
			time.Sleep(10 * time.Millisecond)
			return nil
		})
		cfg := c.of(s.config(mux))
		cfg.Concurrency = 10
		s.send("job", held)
		s.send("quick", others)
		n := s.start(cfg)
		began := time.Now()
		s.await(others)
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("the others took %v", took)
		}
		n.halt()
	})
}

// A task that should run alone lets the others run on if they don't make room, and tries again later.
func TestTheLastRunWaits(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		suspect := ghost("gone")
		suspect.Crashes = 2
		c.put("job-0", suspect)
		mux := consumer.NewMux()
		g := newGate()
		handle(t, mux, "long", g.hold)
		handle(t, mux, "job", nothing)
		handle(t, mux, "quick", nothing)
		n := s.start(c.of(s.config(mux)))
		n.assigned(1)
		s.send("long", 1)
		g.await(t)
		s.send("job", 1)
		n.until("the takeover", func(consumer.Stats) bool { return c.look("job-0").Owner != "gone" })
		time.Sleep(time.Second)
		s.send("quick", 50)
		waits := time.Now()
		s.await(50)
		if took := time.Since(waits); took < 5*time.Second || took > 20*time.Second {
			t.Errorf("the others ran after %v, want when the patience of the one was over", took)
		}
		synctest.Wait()
		if got := c.look("job-0"); got.State != claim.Pending || got.Crashes != 2 {
			t.Errorf("its claim says %q while it gives way, want pending", got)
		}
		time.Sleep(5 * time.Minute)
		close(g.open)
		s.await(52)
		n.halt()
		if got := c.look("job-0"); got.State != claim.Succeeded {
			t.Errorf("its claim says %q", got)
		}
	})
}

// A task whose process died while it ran alone, and as often as allowed, is poison: its letter says so, and how often. It
// is not run. What only shared processes with it is run.
func TestPoison(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		poison, innocent, young := ghost("gone"), ghost("gone"), ghost("gone")
		poison.Crashes, poison.Flags = 2, claim.Alone|claim.TakenOver
		innocent.Crashes = 2
		young.Crashes = 1
		c.put("job-0", poison)
		c.put("job-1", innocent)
		c.put("job-2", young)
		runs := newTally()
		n := s.start(c.of(s.config(counting(t, runs, nothing))))
		s.send("job", 3)
		for _, e := range s.await(3) {
			if dead := e.State == task.Dead; dead != (e.Task.ID == "job-0") || dead && e.Reason != task.ReasonPoison {
				t.Errorf("%s is %s %s", e.Task.ID, e.State, e.Reason)
			}
		}
		n.halt()
		if runs.of("job-0") != 0 || runs.of("job-1") != 1 || runs.of("job-2") != 1 {
			t.Errorf("runs %v, want one of each but the poison", runs.order())
		}
		letters := s.letters()
		if len(letters) != 1 {
			t.Fatalf("%d letters", len(letters))
		}
		stamp, err := record.ReadStamp(letters[0])
		if err != nil || stamp.Reason != task.ReasonPoison || stamp.Crashes != 3 || stamp.Err == "" {
			t.Errorf("its letter says %+v, %v", stamp, err)
		}
		if got := c.look("job-0"); got.State != claim.Dead || got.Crashes != 3 {
			t.Errorf("its claim says %q", got)
		}
		if got := c.look("job-2"); got.Crashes != 2 {
			t.Errorf("the claim of one that crashed once says %q, want 2 crashes", got)
		}
	})
}

// One crash allowed means that the first one is the last.
func TestPoisonAtOnce(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		c.put("job-0", ghost("gone"))
		runs := newTally()
		cfg := c.of(s.config(counting(t, runs, nothing)))
		cfg.Crashes = 1
		n := s.start(cfg)
		s.send("job", 1)
		if e := s.await(1)[0]; e.Reason != task.ReasonPoison || runs.of("job-0") != 0 {
			t.Errorf("it is %s %s after %d runs", e.State, e.Reason, runs.of("job-0"))
		}
		n.halt()
	})
}

// A task whose process died after it had decided that the task is dead is buried by whoever has the record, from what was
// left beside the claim, and not run. While that process lives it is its own.
func TestWhoIsDyingIsBuried(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		c.set("ghost", true)
		dying := ghost("ghost")
		dying.State, dying.Crashes = claim.Dying, 1
		c.put("job-0", dying)
		if err := c.redis.Set(consumertest.Key("job-0")+":d", `{"reason":"failed","error":"no such account","first_error":"timeout","new":1}`); err != nil {
			t.Fatal(err)
		}
		runs := newTally()
		n := s.start(c.of(s.config(counting(t, runs, nothing))))
		s.send("job", 1)
		time.Sleep(3 * time.Minute)
		if len(s.ends()) != 0 {
			t.Fatal("the letter of a living process was written by another")
		}
		c.set("ghost", false)
		if e := s.await(1)[0]; e.State != task.Dead || e.Reason != task.ReasonFailed || runs.of("job-0") != 0 {
			t.Errorf("it is %s %s after %d runs", e.State, e.Reason, runs.of("job-0"))
		}
		n.halt()
		stamp, err := record.ReadStamp(s.letters()[0])
		if err != nil || stamp.Reason != task.ReasonFailed || !strings.Contains(stamp.Err, "no such account") || stamp.Crashes != 1 {
			t.Errorf("its letter says %+v, %v", stamp, err)
		}
		if got := c.look("job-0"); got.State != claim.Dead {
			t.Errorf("its claim says %q", got)
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// A claim that a later version wrote is somebody's: it is neither run nor touched.
func TestAnUnknownFormatIsHeld(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		const later = "2x 0 1 1 0 - gone 7 0 {} job"
		_ = c.redis.Set(consumertest.Key("job-0"), later)
		runs := newTally()
		n := s.start(c.of(s.config(counting(t, runs, nothing))))
		s.send("job", 3)
		s.await(2)
		time.Sleep(time.Minute)
		n.halt()
		if text, _ := c.redis.Get(consumertest.Key("job-0")); text != later || runs.of("job-0") != 0 || s.lag() != 1 {
			t.Errorf("it says %q after %d runs, and %d are not committed, want it", text, runs.of("job-0"), s.lag())
		}
	})
}
