package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// When the session is over the contexts of all handlers end, with the reason, and nothing starts until there is another
// one. What the handlers had to give up runs again then, and is no failure; neither is it a crash.
func TestSessionLost(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		runs := newTally()
		g := newGate()
		told := make(chan error, 10)
		mux := counting(t, runs, func(ctx context.Context, tk *task.Task) error {
			err := g.obey(ctx, tk)
			if err != nil {
				told <- context.Cause(ctx)
			}
			return err
		})
		cfg := c.of(s.config(mux))
		cfg.Concurrency = 4
		n := s.start(cfg)
		n.assigned(1)
		s.send("job", 20)
		for range 4 {
			g.await(t)
		}
		c.lose()
		for range 4 {
			if cause := <-told; cause == nil || !strings.Contains(cause.Error(), "session is over") {
				t.Errorf("a context ended because %v", cause)
			}
		}
		s.send("job", 5, task.Source("/more"))
		time.Sleep(5 * time.Minute)
		if got := len(runs.order()); got != 4 {
			t.Errorf("%d runs without a session, want the 4 from before", got)
		}
		next := c.open()
		close(g.open)
		s.await(25)
		n.halt()
		if got := len(runs.order()); got != 29 {
			t.Errorf("%d runs of 25 tasks, want 4 more", got)
		}
		for _, text := range c.texts() {
			if got, _ := claim.Parse(text); got.State != claim.Succeeded || got.Crashes != 0 || got.Owner != next || got.Attempt != 1 {
				t.Errorf("claim %q, want one that succeeded under the new session", text)
			}
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// What was begun before the session ended, and not started, does not start under it any more.
func TestWhatWasBegunBeginsAgain(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		runs := newTally()
		n, g := s.blocked(c, runs, 20)
		before := c.running()
		if before <= 2 {
			t.Fatal("nothing was begun ahead: this test shows nothing")
		}
		c.lose()
		close(g.open) // the handlers that run return
		time.Sleep(time.Minute)
		if got := len(runs.order()); got != 302 {
			t.Errorf("%d were started without a session", got-302)
		}
		c.open()
		s.await(320)
		n.halt()
		if got := len(runs.order()); got != 320 {
			t.Errorf("%d runs of 320 tasks", got)
		}
	})
}

// blocked is a node with two slots, which has done 300 tasks and then met two that wait at a gate. More wait behind them,
// some of which it has begun ahead.
func (s *stage) blocked(c *claims, runs *tally, tasks int) (*node, *gate) {
	g := newGate()
	cfg := c.of(s.config(counting(s.t, runs, func(ctx context.Context, tk *task.Task) error {
		if tk.Source == "/quick" {
			return nil
		}
		return g.hold(ctx, tk)
	})))
	cfg.Concurrency, cfg.Drain = 2, 10*time.Second
	s.send("job", 300, task.Source("/quick"))
	s.send("job", tasks)
	n := s.start(cfg)
	g.await(s.t)
	g.await(s.t)
	synctest.Wait()
	return n, g
}

// The result of a handler that did not hear of the end of its session counts if nobody took its task over, with a session
// or without. But whoever lost its session can't know that nobody did if there is no claim: it records nothing then, and
// the task runs again.
func TestALateResult(t *testing.T) {
	tests := map[string]struct {
		back, flushed bool
		runs          int
	}{
		"with a session":         {true, false, 1},
		"without":                {false, false, 1},
		"when Redis was emptied": {true, true, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			play(t, 1, func(t *testing.T, s *stage) {
				c := newClaims(t)
				runs := newTally()
				g := newGate()
				n := s.start(c.of(s.config(counting(t, runs, g.hold))))
				s.send("job", 1)
				g.await(t)
				c.lose()
				if tt.back {
					c.open()
				}
				time.Sleep(time.Minute)
				if tt.flushed {
					c.redis.FlushAll()
				}
				close(g.open)
				s.await(1)
				n.halt()
				if got := c.look("job-0"); got.State != claim.Succeeded || runs.of("job-0") != tt.runs || s.lag() != 0 {
					t.Errorf("its claim says %q after %d runs, want %d; %d are not committed", got, runs.of("job-0"), tt.runs, s.lag())
				}
			})
		})
	}
}

// A zombie can't win: once another process has its task, its result is refused and its handler told. Its offset is not
// completed before the other has ended; then it is, without another run.
func TestAZombieCannotWin(t *testing.T) {
	for name, answer := range map[string]error{
		"success": nil, "failure": errors.New("no luck"), "death": task.Permanent(errors.New("no such account")), "snooze": task.Snooze(time.Second),
	} {
		for _, aware := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/aware=%t", name, aware), func(t *testing.T) { refuse(t, answer, aware) })
		}
	}
}

// refuse lets another process take over the task of a handler that then gives its answer: after it was told, or unaware.
func refuse(t *testing.T, answer error, aware bool) {
	t.Helper()
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		c.set("other", true)
		runs := newTally()
		told := make(chan struct{})
		g := newGate()
		n := s.start(c.of(s.config(counting(t, runs, func(ctx context.Context, tk *task.Task) error {
			_ = g.hold(ctx, tk)
			if aware {
				<-ctx.Done()
			}
			close(told)
			return answer
		}))))
		s.send("job", 1)
		g.await(t)
		if aware {
			c.lose()
		}
		other := c.look("job-0")
		other.Owner, other.Fence, other.Crashes = "other", other.Fence+1, 1
		c.put("job-0", other)
		if aware {
			c.open() // it lives on
		}
		close(g.open)
		<-told
		time.Sleep(time.Minute)
		if got := c.look("job-0"); got != other || s.lag() != 1 || len(s.ends()) != 0 || len(s.letters()) != 0 {
			t.Errorf("the claim of the other says %q, %d are not committed, %d are told of, %d letters", got, s.lag(), len(s.ends()), len(s.letters()))
		}
		other.State = claim.Succeeded
		c.put("job-0", other)
		s.all()
		n.halt()
		if got := n.Stats()[0]; runs.of("job-0") != 1 || got.Repeated != 1 {
			t.Errorf("%d runs, %+v", runs.of("job-0"), got)
		}
	})
}

// A handler whose task was taken over while its session was in order, as far as this process knows, is told at the next
// refresh.
func TestATakeoverIsNoticed(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		c.set("other", true)
		g := newGate()
		told := make(chan struct{})
		mux := consumer.NewMux()
		handle(t, mux, "job", func(ctx context.Context, tk *task.Task) error {
			err := g.obey(ctx, tk)
			close(told)
			return err
		})
		cfg := c.of(s.config(mux))
		cfg.Queues[0].Retry.MaxAttempts = 2
		n := s.start(cfg)
		s.send("job", 1)
		g.await(t)
		c.put("job-0", ghost("other"))
		taken := time.Now()
		<-told
		if took := time.Since(taken); took > 15*time.Second {
			t.Errorf("it was told after %v", took)
		}
		time.Sleep(10 * time.Second)
		done := ghost("other")
		done.State = claim.Succeeded
		c.put("job-0", done)
		s.all()
		n.halt()
		if got := n.Stats()[0]; got.Retried != 0 {
			t.Error("that was taken for a failure")
		}
	})
}

// At a stop, what had been begun and not started is given back: another process may run it at once, and it is no crash.
// What runs is not, as long as its handler does.
func TestStopReleasesWhatWasNotStarted(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		first, g := s.blocked(c, newTally(), 50)
		if c.running() <= 2 {
			t.Fatal("nothing was begun ahead: this test shows nothing")
		}
		if err := first.stop(); !errors.Is(err, consumer.ErrAbandoned) {
			t.Errorf("stop: %v", err)
		}
		states := make(map[claim.State]int)
		for i := range 50 {
			states[c.look(taskID(i)).State]++
		}
		if states[claim.Running] != 2 {
			t.Errorf("%d claims say running after the stop, want those of the 2 handlers that still do", states[claim.Running])
		}

		other := c.registry.Join()
		second := newTally()
		cfg := c.of(s.config(counting(t, second, nothing)))
		cfg.Members = other
		began := time.Now()
		n := s.start(cfg)
		s.await(348)
		if took := time.Since(began); took > time.Second {
			t.Errorf("what was released ran after %v", took)
		}
		time.Sleep(time.Minute)
		if got := len(second.order()); got != 48 {
			t.Errorf("%d tasks ran elsewhere while 2 still ran here, want 48", got)
		}
		c.lose() // the process of the first node exits
		s.all()
		close(g.open)
		n.halt()
		crashes := make(map[int]int)
		for i := range 50 {
			got := c.look(taskID(i))
			crashes[got.Crashes]++
			if got.State != claim.Succeeded {
				t.Errorf("claim %q", got)
			}
		}
		if crashes[0] != 48 || crashes[1] != 2 {
			t.Errorf("tasks by crashes: %v, want 2 with one and the others without", crashes)
		}
	})
}

func taskID(i int) string { return fmt.Sprintf("job-%d", i) }

// Handlers that end within the drain time finish, and what fails then comes back.
func TestStopFinishesWhatRuns(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		g := newGate()
		mux := consumer.NewMux()
		handle(t, mux, "job", func(ctx context.Context, tk *task.Task) error {
			_ = g.hold(ctx, tk)
			switch tk.ID {
			case "job-1":
				return errors.New("no luck")
			case "job-2":
				return task.Permanent(errors.New("no luck"))
			case "job-3":
				return task.Snooze(time.Hour)
			}
			return nil
		})
		cfg := c.of(s.config(mux))
		cfg.Queues[0].Retry.MaxAttempts = 2
		n := s.start(cfg)
		n.assigned(1)
		s.send("job", 4)
		for range 4 {
			g.await(t)
		}
		n.end()
		time.Sleep(10 * time.Second)
		close(g.open)
		if err := n.wait(); err != nil {
			t.Error(err)
		}
		for i, want := range []claim.State{claim.Succeeded, claim.Retrying, claim.Dead, claim.Pending} {
			if got := c.look(taskID(i)); got.State != want {
				t.Errorf("claim %q, want %q", got, want)
			}
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// A partition that is taken away while its tasks run takes nothing from them: their results are recorded, and what is
// delivered again is held while they run and done when they have ended.
func TestAPartitionGoesWhileItsTasksRun(t *testing.T) {
	for _, reason := range []*kerr.Error{kerr.UnknownMemberID, kerr.RebalanceInProgress} {
		t.Run(reason.Message, func(t *testing.T) {
			play(t, 1, func(t *testing.T, s *stage) {
				c := newClaims(t)
				runs := newTally()
				g := newGate()
				cfg := c.of(s.config(counting(t, runs, g.hold)))
				cfg.Concurrency, cfg.Drain = 5, 5*time.Second
				n := s.start(cfg)
				n.assigned(1)
				s.send("job", 10)
				for range 5 {
					g.await(t)
				}
				polled := n.Stats()[0].Polled
				gone := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: group, Err: reason})
				if err := gone.Wait(s.context(), 1); err != nil {
					t.Fatal(err)
				}
				if reason == kerr.UnknownMemberID {
					n.until("its return", func(s consumer.Stats) bool { return s.Polled == polled+10 })
				}
				time.Sleep(time.Minute)
				if got := len(runs.order()); got != 5 {
					t.Errorf("%d runs, want the 5 from before", got)
				}
				close(g.open)
				s.await(10)
				s.all()
				n.halt()
				runs.once(t, "job", 10)
			})
		})
	}
}
