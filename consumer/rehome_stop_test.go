package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// withAndWithoutClaims runs a test both ways. Its claims are nil without.
func withAndWithoutClaims(t *testing.T, partitions int32, test func(t *testing.T, s *stage, c *claims, cfg consumer.Config, mux *consumer.Mux)) {
	t.Helper()
	for name, claimed := range map[string]bool{"with claims": true, "without claims": false} {
		t.Run(name, func(t *testing.T) {
			play(t, partitions, func(t *testing.T, s *stage) {
				mux := consumer.NewMux()
				cfg := s.config(mux)
				var c *claims
				if claimed {
					c = newClaims(t)
					cfg = c.of(cfg)
				}
				test(t, s, c, cfg, mux)
			})
		})
	}
}

// A stop hands on what is unfinished below what is finished: the commit covers all that, and nothing of it is done again.
// What lies above it is left to be delivered again, without a copy.
func TestStopClosesTheGaps(t *testing.T) {
	const tasks = 100
	withAndWithoutClaims(t, 2, func(t *testing.T, s *stage, c *claims, cfg consumer.Config, mux *consumer.Mux) {
		runs, g := newTally(), newGate()
		handle(t, mux, "job", func(ctx context.Context, tk *task.Task) error {
			if runs.run(tk) == 1 && (tk.ID == "job-7" || tk.ID == "job-30" || tk.ID == "job-31") {
				return g.obey(ctx, tk) // until it is told to give up
			}
			return nil
		})
		handle(t, mux, "never", g.hold)
		cfg.Drain = time.Second
		n := s.start(cfg)
		n.assigned(2)
		s.send("job", tasks)
		s.await(tasks - 3)
		var polled int64
		for range 3 {
			g.await(t)
			polled++
		}
		n.halt()
		written := s.written()
		if copies := written[0] + written[1] - tasks; copies != polled || n.Stats()[0].Moved != uint64(polled) {
			t.Errorf("%d copies and %d moved, want the %d that did not end", copies, n.Stats()[0].Moved, polled)
		}
		if s.lag() != 3 || s.noted(0)+s.noted(1) != 0 {
			t.Errorf("%d are not committed, %d noted; want 3 copies and nothing above them", s.lag(), s.noted(0)+s.noted(1))
		}
		// Offsets alone tell the next node what is done: it has no claims, and no ranges beside them.
		cfg.Claims, cfg.Members = nil, nil
		next := s.start(cfg)
		s.await(tasks)
		s.all()
		next.halt()
		for i := range tasks {
			want := 1
			if i == 7 || i == 30 || i == 31 {
				want = 2
			}
			if got := runs.of(fmt.Sprintf("job-%d", i)); got != want {
				t.Errorf("job-%d ran %d times, want %d", i, got, want)
			}
		}
	})
}

// What nothing finished lies behind is no gap, however much waits there.
func TestStopLeavesWhatIsNoGap(t *testing.T) {
	withAndWithoutClaims(t, 1, func(t *testing.T, s *stage, _ *claims, cfg consumer.Config, mux *consumer.Mux) {
		g := newGate()
		handle(t, mux, "ok", nothing)
		handle(t, mux, "stuck", g.obey)
		cfg.Concurrency, cfg.Drain = 2, time.Second
		n := s.start(cfg)
		n.assigned(1)
		s.send("ok", 10)
		s.await(10)
		s.send("stuck", 50)
		g.await(t)
		g.await(t)
		n.halt()
		if s.written()[0] != 60 || s.committed(0) != 10 || n.Stats()[0].Moved != 0 {
			t.Errorf("%d written, committed %d, %+v", s.written(), s.committed(0), n.Stats()[0])
		}
	})
}

// A handler that outlives the stop leaves its task to another node: at once without claims, and with them when its process
// is gone.
func TestStopHandsOnWhatIsAbandoned(t *testing.T) {
	withAndWithoutClaims(t, 1, func(t *testing.T, s *stage, c *claims, cfg consumer.Config, mux *consumer.Mux) {
		runs, g := newTally(), newGate()
		handle(t, mux, "ok", nothing)
		handle(t, mux, "stuck", func(ctx context.Context, tk *task.Task) error {
			if runs.run(tk) == 1 {
				return g.hold(ctx, tk)
			}
			return nil
		})
		cfg.Drain = time.Second
		n := s.start(cfg)
		n.assigned(1)
		s.pinned(g)
		began := time.Now()
		if err := n.stop(); !errors.Is(err, consumer.ErrAbandoned) {
			t.Errorf("stop: %v", err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("the stop took %v", took)
		}
		if s.committed(0) != 14 || s.lag() != 1 {
			t.Errorf("committed %d of %d, want all but the copy", s.committed(0), s.written())
		}
		var session string
		if c != nil {
			session = c.member.Lease().ID()
			cfg.Members = c.registry.Join()
		}
		next := s.start(cfg)
		if c != nil {
			time.Sleep(time.Minute)
			if got := runs.of("stuck-0"); got != 1 {
				t.Errorf("it was started %d times while its handler still ran", got)
			}
			c.set(session, false)
		}
		s.await(14)
		s.all()
		next.halt()
		close(g.open)
		time.Sleep(time.Second)
		if got := runs.of("stuck-0"); got != 2 || s.committed(0) != 15 {
			t.Errorf("it ran %d times, committed %d", got, s.committed(0))
		}
		if c == nil {
			return // its late end is as good as the other
		}
		if got := c.look("stuck-0"); got.State != claim.Succeeded || got.Crashes != 1 || len(s.ends()) != 14 {
			t.Errorf("its claim says %q, %d ends are told of", got, len(s.ends()))
		}
	})
}

// In an ordered queue a copy would lose its place: what is unfinished stays where it is, and its key is in order at the
// next node.
func TestStopLeavesOrderedQueues(t *testing.T) {
	withAndWithoutClaims(t, 1, func(t *testing.T, s *stage, _ *claims, cfg consumer.Config, mux *consumer.Mux) {
		runs, g := newTally(), newGate()
		handle(t, mux, "step", func(ctx context.Context, tk *task.Task) error {
			if runs.run(tk) == 1 && tk.ID == "a-0" {
				return g.obey(ctx, tk)
			}
			return nil
		})
		cfg.Queues[0].Ordered, cfg.Drain = true, time.Second
		n := s.start(cfg)
		n.assigned(1)
		for i := range 5 {
			s.send("step", 1, task.ID(fmt.Sprint("a-", i)), task.Key("a"))
			s.send("step", 1, task.ID(fmt.Sprint("b-", i)), task.Key("b"))
		}
		g.await(t)
		s.await(5)
		n.halt()
		if s.written()[0] != 10 || s.committed(0) > 0 || n.Stats()[0].Moved != 0 {
			t.Errorf("%d written, committed %d, %+v", s.written(), s.committed(0), n.Stats()[0])
		}
		next := s.start(cfg)
		s.await(10)
		s.all()
		next.halt()
		last := 0
		for _, id := range runs.order() {
			var i int
			if _, err := fmt.Sscanf(id, "a-%d", &i); err == nil {
				if i < last {
					t.Errorf("ran in the order %v", runs.order())
				}
				last = i
			}
		}
	})
}

// A cluster that takes no copies holds a stop up for seconds only. Nothing is committed that was not finished.
func TestStopWhileCopiesAreRefused(t *testing.T) {
	for name, refusal := range map[string]*kerr.Error{"for good": kerr.MessageTooLarge, "for now": kerr.TopicAuthorizationFailed} {
		t.Run(name, func(t *testing.T) {
			withAndWithoutClaims(t, 1, func(t *testing.T, s *stage, _ *claims, cfg consumer.Config, mux *consumer.Mux) {
				runs, g := newTally(), newGate()
				handle(t, mux, "ok", func(_ context.Context, tk *task.Task) error { runs.run(tk); return nil })
				handle(t, mux, "stuck", func(ctx context.Context, tk *task.Task) error {
					if runs.run(tk) == 1 {
						return g.obey(ctx, tk)
					}
					return nil
				})
				cfg.Drain = time.Second
				n := s.start(cfg)
				n.assigned(1)
				s.pinned(g)
				refused := s.refuse("", refusal)
				began := time.Now()
				n.halt()
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("the stop took %v", took)
				}
				if refused.Hits() == 0 || s.committed(0) != 3 || s.noted(0) != 10 {
					t.Errorf("after %d tries committed %d and %d above", refused.Hits(), s.committed(0), s.noted(0))
				}
				refused.Remove()
				next := s.start(cfg)
				s.await(14)
				s.all()
				next.halt()
				if got := runs.of("stuck-0"); got != 2 || len(runs.order()) != 15 {
					t.Errorf("it ran %d times, %d runs in all", got, len(runs.order()))
				}
			})
		})
	}
}

// What is no task is not copied at a stop either: its letter is to be made from what is there.
func TestStopCopiesNoRubbish(t *testing.T) {
	withAndWithoutClaims(t, 1, func(t *testing.T, s *stage, _ *claims, cfg consumer.Config, mux *consumer.Mux) {
		handle(t, mux, "ok", nothing)
		cfg.Drain = time.Second
		refused := s.refuse(names.Dead("tasks"), kerr.TopicAuthorizationFailed)
		n := s.start(cfg)
		n.assigned(1)
		s.raw(&kgo.Record{Value: []byte("no task")})
		s.send("ok", 10)
		s.await(10)
		n.halt()
		if s.written()[0] != 11 || s.committed(0) > 0 {
			t.Errorf("%d written, committed %d", s.written(), s.committed(0))
		}
		refused.Remove()
		next := s.start(cfg)
		s.await(11)
		s.all()
		next.halt()
		if got := len(s.letters()); got != 1 {
			t.Errorf("%d letters", got)
		}
	})
}
