package consumer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// via lets a configuration reach the brokers over a link of its own.
func (s *stage) via(cfg *consumer.Config) *bubble.Link {
	l := bubble.NewLink(s.dialer)
	cfg.Kafka = []kgo.Opt{kgo.SeedBrokers(s.cluster.ListenAddrs()...), kgo.Dialer(l.Dial)}
	return l
}

// Three nodes are restarted one after the other while tasks flow: nothing is lost and nothing runs twice.
func TestRollingRestart(t *testing.T) {
	const tasks = 1500
	playReal(t, 6, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		runs := newTally()
		handle(t, mux, "job", func(_ context.Context, tk *task.Task) error {
			runs.run(tk)
			time.Sleep(10 * time.Millisecond)
			return nil
		})
		cfg := s.config(mux)
		cfg.Concurrency = 2
		cfg.SessionTimeout = 2 * time.Second
		nodes := []*node{s.start(cfg), s.start(cfg), s.start(cfg)}
		s.send("job", tasks)
		for range 2 {
			for i := range nodes {
				s.await(min(tasks-500, len(s.ends())+100)) // some are at work whenever one is stopped
				if err := nodes[i].stop(); err != nil {
					t.Error(err)
				}
				nodes[i] = s.start(cfg)
			}
		}
		s.await(tasks)
		for _, n := range nodes {
			if err := n.stop(); err != nil {
				t.Error(err)
			}
		}
		runs.once(t, "job", tasks)
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// A revocation waits for the running tasks of the partition, starts none of the others, and then commits. Pitfall 8 of
// docs/pitfalls.md.
func TestRevocationWaitsForRunningTasksAndCommits(t *testing.T) {
	playReal(t, 2, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		runs := newTally()
		g := newGate()
		handle(t, mux, "job", func(ctx context.Context, tk *task.Task) error {
			runs.run(tk)
			return g.hold(ctx, tk)
		})
		cfg := s.config(mux)
		cfg.Concurrency = 4
		cfg.SessionTimeout = 2 * time.Second
		first := s.start(cfg)
		first.assigned(2)
		s.send("job", 4) // two of each partition
		for range 4 {
			g.await(t)
		}
		s.send("job", 16, task.Source("/behind"))
		first.until("all polled", func(s consumer.Stats) bool { return s.Polled == 20 })
		second := s.start(cfg)
		// What waited of the partition that is given back is dropped, and what runs of it is waited for.
		first.until("a revocation", func(s consumer.Stats) bool { return s.Dropped == 8 })
		if got, parts := len(runs.order()), first.Stats()[0].Partitions; got != 4 || parts != 2 {
			t.Errorf("%d tasks were started and %d partitions are left while one is given back, want 4 and 2", got, parts)
		}
		close(g.open)
		second.assigned(1)
		first.assigned(1)
		s.await(20)
		if got := len(runs.order()); got != 20 {
			t.Errorf("%d runs of 20 tasks", got)
		}
		for _, n := range []*node{first, second} {
			if err := n.stop(); err != nil {
				t.Error(err)
			}
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// A task that ends after its partition was assigned to another node is not committed by this one. Pitfall 1 of
// docs/pitfalls.md.
func TestTaskThatEndsAfterRevocationIsNotCommitted(t *testing.T) {
	playReal(t, 2, func(t *testing.T, s *stage) {
		start := func(g *gate) *node {
			mux := consumer.NewMux()
			handle(t, mux, "slow", g.hold)
			cfg := s.config(mux)
			cfg.SessionTimeout, cfg.Drain = 2*time.Second, time.Second
			return s.start(cfg)
		}
		here, there := newGate(), newGate()
		first := start(here)
		first.assigned(2)
		s.send("slow", 2) // one of each partition
		here.await(t)
		here.await(t)
		second := start(there)
		there.await(t)
		close(here.open)
		s.await(2)
		moved := func() (n int) {
			for p := range int32(2) {
				if s.committed(p) == 1 {
					n++
				}
			}
			return n
		}
		eventually(t, "the commit of the partition that stayed", func() bool { return moved() > 0 })
		s.send("slow", 2)
		s.await(3) // and of one round of commits more
		eventually(t, "the next commit", func() bool { return s.lag() == 2 })
		if moved() != 0 {
			t.Error("the completion of a partition that was given away is committed")
		}
		close(there.open)
		s.await(5)
		eventually(t, "the commit of all", func() bool { return s.lag() == 0 })
		for _, n := range []*node{first, second} {
			if err := n.stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

// A member that the group has expelled or fenced commits nothing of what it had, neither at once nor when its tasks
// end, and continues when it has joined again. Pitfalls 1 and 20 of docs/pitfalls.md.
func TestLostMemberCommitsNothing(t *testing.T) {
	for _, reason := range []*kerr.Error{kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.FencedInstanceID} {
		t.Run(reason.Message, func(t *testing.T) {
			play(t, 1, func(t *testing.T, s *stage) {
				mux := consumer.NewMux()
				runs := newTally()
				gates := []*gate{newGate(), newGate()}
				handle(t, mux, "slow", func(ctx context.Context, tk *task.Task) error {
					return gates[runs.run(tk)-1].hold(ctx, tk)
				})
				handle(t, mux, "quick", func(ctx context.Context, tk *task.Task) error {
					if runs.run(tk) == 1 {
						return nil // finished and, when the membership is lost, not committed yet
					}
					return gates[1].hold(ctx, tk)
				})
				n := s.start(s.config(mux))
				n.assigned(1)
				s.send("quick", 1)
				s.send("slow", 1)
				gates[0].await(t)
				s.await(1)
				if s.committed(0) >= 0 {
					t.Fatal("committed too early for this test to show anything")
				}
				commits := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Observe: true, Count: -1})
				lost := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: group, TopLevel: false, Err: reason})
				if err := lost.Wait(s.context(), 1); err != nil {
					t.Fatal(err)
				}
				gates[1].await(t) // both are delivered again
				gates[1].await(t)
				close(gates[0].open)
				s.await(2)
				time.Sleep(5 * time.Second)
				if commits.Hits() > 0 || s.committed(0) >= 0 {
					t.Errorf("%d commits, at %d, for a completion of a lost assignment", commits.Hits(), s.committed(0))
				}
				close(gates[1].open)
				s.await(4)
				eventually(t, "its commit", func() bool { return s.committed(0) == 2 })
				if err := n.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A node that was cut off past its session loses its partitions to another; it commits nothing and serves again when the
// line is back.
func TestNodeCutOff(t *testing.T) {
	playReal(t, 2, func(t *testing.T, s *stage) {
		runs := newTally()
		g := newGate()
		mux := func(h consumer.Handler) *consumer.Mux {
			m := consumer.NewMux()
			handle(t, m, "job", func(ctx context.Context, tk *task.Task) error { runs.run(tk); return h(ctx, tk) })
			return m
		}
		cfg := s.config(mux(g.hold))
		cfg.SessionTimeout = 2 * time.Second
		l := s.via(&cfg)
		first := s.start(cfg)
		first.assigned(2)
		s.send("job", 10)
		for range 10 {
			g.await(t)
		}
		l.Cut()
		cfg = s.config(mux(nothing))
		second := s.start(cfg)
		second.assigned(2)
		s.await(10)
		eventually(t, "the other's commit", func() bool { return s.lag() == 0 })
		s.send("job", 2, task.ID("more"))
		s.await(12)
		eventually(t, "the other's commit", func() bool { return s.lag() == 0 })
		close(g.open) // the first node's tasks end now
		s.await(22)
		l.Restore()
		first.assigned(1)
		if lag := s.lag(); lag != 0 {
			t.Errorf("the node that was cut off moved the commit back by %d", lag)
		}
		s.send("job", 10, task.ID("last"))
		s.await(32)
		for _, n := range []*node{first, second} {
			if err := n.stop(); err != nil {
				t.Error(err)
			}
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// Connections that break cost nothing: no task runs twice.
func TestConnectionsBreak(t *testing.T) {
	const tasks = 250
	play(t, 2, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		runs := newTally()
		handle(t, mux, "job", func(_ context.Context, tk *task.Task) error {
			runs.run(tk)
			time.Sleep(50 * time.Millisecond)
			if len(tk.ID)%2 == 0 {
				return errors.New("no luck")
			}
			return nil
		})
		cfg := s.config(mux)
		cfg.Concurrency = 5
		cfg.Breaker.Off = true // scores of tasks fail in a row
		l := s.via(&cfg)
		n := s.start(cfg)
		n.assigned(2)
		s.send("job", tasks)
		for range 3 {
			time.Sleep(500 * time.Millisecond)
			l.Cut()
			l.Restore()
		}
		s.await(tasks)
		runs.once(t, "job", tasks)
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// A node whose brokers are gone still stops.
func TestStopWithoutBrokers(t *testing.T) {
	play(t, 2, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		handle(t, mux, "ok", nothing)
		handle(t, mux, "fails", fails)
		g := newGate()
		handle(t, mux, "stuck", g.hold)
		cfg := s.config(mux)
		l := s.via(&cfg)
		n := s.start(cfg)
		n.assigned(2)
		s.send("ok", 10)
		s.send("stuck", 1)
		s.await(10)
		g.await(t)
		l.Cut()
		close(g.open)
		s.await(11)
		began := time.Now()
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 40*time.Second {
			t.Errorf("the stop took %v", took)
		}
	})
}

// A commit that fails stays due and is tried again, without a stop.
func TestCommitsAreTriedAgain(t *testing.T) {
	for _, refusal := range []*kerr.Error{kerr.RebalanceInProgress, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.UnknownServerError, kerr.RequestTimedOut} {
		t.Run(refusal.Message, func(t *testing.T) {
			play(t, 2, func(t *testing.T, s *stage) {
				mux := consumer.NewMux()
				handle(t, mux, "ok", nothing)
				refuse := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Err: refusal, Count: 3})
				n := s.start(s.config(mux))
				s.send("ok", 20)
				s.await(20)
				if err := refuse.Wait(s.context(), 3); err != nil {
					t.Fatal(err)
				}
				eventually(t, "its commit", func() bool { return s.lag() == 0 })
				if err := n.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The last commit of a stop is tried again too.
func TestLastCommitIsTriedAgain(t *testing.T) {
	for _, refusal := range []*kerr.Error{kerr.RebalanceInProgress, kerr.CoordinatorLoadInProgress, kerr.UnknownServerError} {
		t.Run(refusal.Message, func(t *testing.T) {
			play(t, 2, func(t *testing.T, s *stage) {
				mux := consumer.NewMux()
				handle(t, mux, "ok", nothing)
				n := s.start(s.config(mux))
				n.assigned(2)
				s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Err: refusal, Count: 2})
				s.send("ok", 20)
				s.await(20)
				if err := n.stop(); err != nil {
					t.Error(err)
				}
				if lag := s.lag(); lag != 0 {
					t.Errorf("%d are not committed", lag)
				}
			})
		})
	}
}
