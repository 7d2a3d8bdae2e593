package consumer_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

// TestABacklogKeepsNoOtherFromItsSlots: a paused type has more tasks than may stand at gates. A limited one whose slots are
// free runs as if that were not there.
func TestABacklogKeepsNoOtherFromItsSlots(t *testing.T) {
	play(t, 4, func(t *testing.T, s *stage) {
		const n = 50
		cfg, _ := limited(s.config(consumer.NewMux()), newLedger(t, map[string]int{"locked": 5}))
		cfg.MaxInflight = 100
		for _, typ := range []string{"locked", "paused"} {
			handle(t, cfg.Mux, typ, func(context.Context, *task.Task) error { return nil })
		}
		node := s.start(cfg)
		apply(t, node.Consumer, consumer.Rules{Types: map[string]consumer.Rule{"locked": {Limit: 5}, "paused": {Paused: true}}})
		s.forward()
		s.send("paused", 600)
		time.Sleep(5 * time.Second)
		s.send("locked", n)
		began := time.Now()
		s.await(n)
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("%d tasks whose slots are free took %v", n, took)
		}
		stop(t, node)
	})
}

// TestStuckQueueShutsNoOthersGate: two queues have tasks of a limited type. That all slots of the one are taken for long is
// nothing to the other.
func TestStuckQueueShutsNoOthersGate(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		const n = 20
		cfg, rules := limited(s.config(consumer.NewMux()), newLedger(t, map[string]int{"locked": 4}))
		cfg.Concurrency = 8
		cfg.Queues = append(cfg.Queues, consumer.Queue{Name: "other"})
		gate := newGate()
		var ran atomic.Int64
		handle(t, cfg.Mux, "long", gate.hold)
		handle(t, cfg.Mux, "locked", func(_ context.Context, tk *task.Task) error {
			if tk.Queue == "other" {
				ran.Add(1)
			}
			return nil
		})
		node := s.start(cfg)
		s.forward()
		apply(t, node.Consumer, rules)
		s.send("long", 7) // all that the queue may have
		for range 7 {
			gate.await(t)
		}
		for i := range n {
			s.sendTo("tasks", "locked", 1, task.ID(fmt.Sprintf("a%d", i)))
			s.sendTo("other", "locked", 1, task.ID(fmt.Sprintf("b%d", i)))
		}
		began := time.Now()
		eventually(t, "the idle queue's tasks are done", func() bool { return ran.Load() == n })
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("they took %v", took)
		}
		close(gate.open)
		stop(t, node)
	}, "other")
}

// TestLimitIsReachedOnABusyNode: the slots of a limited type are used up as those of the node come free, not one a second.
func TestLimitIsReachedOnABusyNode(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		cfg, rules := limited(s.config(consumer.NewMux()), newLedger(t, map[string]int{"locked": 6}))
		cfg.Concurrency, cfg.MaxInflight = 8, 2000
		gate := newGate()
		handle(t, cfg.Mux, "short", func(context.Context, *task.Task) error { time.Sleep(20 * time.Millisecond); return nil })
		handle(t, cfg.Mux, "locked", gate.hold)
		node := s.start(cfg)
		apply(t, node.Consumer, rules)
		s.send("short", 1000)
		s.send("locked", 20)
		for range 6 {
			gate.await(t)
		}
		if st := node.Stats()[0]; st.Ready < 500 {
			t.Errorf("%d of 1000 others are still ready", st.Ready)
		}
		close(gate.open)
		s.await(1020)
		stop(t, node)
	})
}

// TestTokenAfterTheReturn: a goroutine that a handler leaves behind may ask for the token of its slot.
func TestTokenAfterTheReturn(t *testing.T) {
	playReal(t, 1, func(t *testing.T, s *stage) {
		cfg, rules := limited(s.config(consumer.NewMux()), newLedger(t, map[string]int{"locked": 4}))
		ended := make(chan struct{})
		handle(t, cfg.Mux, "locked", func(ctx context.Context, _ *task.Task) error {
			go func() {
				for {
					select {
					case <-ended:
						return
					default:
						task.Slot(ctx)
					}
				}
			}()
			return nil
		})
		node := s.start(cfg)
		apply(t, node.Consumer, rules)
		s.send("locked", 20)
		s.await(20)
		close(ended)
		stop(t, node)
	})
}

// TestDuplicatesDontDriftApart: two records of one task stand in the backlog of a locked type, which is longer than the time
// for which a finished task is remembered. The second one that comes to its turn is passed.
func TestDuplicatesDontDriftApart(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		const n, twins = 300, 20
		cfg, rules := limited(s.config(consumer.NewMux()), newLedger(t, map[string]int{"locked": 1}))
		cfg = newClaims(t).of(cfg)
		cfg.Concurrency, cfg.MaxInflight = 10, 100
		cfg.Queues[0].Window, cfg.Queues[0].IDWindow = 2*time.Minute, 2*time.Minute
		runs := newTally()
		handle(t, cfg.Mux, "locked", func(_ context.Context, tk *task.Task) error { runs.run(tk); time.Sleep(time.Second); return nil })
		node := s.start(cfg)
		apply(t, node.Consumer, rules)
		s.forward()
		for range 2 {
			s.send("locked", twins)
		}
		s.send("locked", n) // the twins among them, once more
		s.awaitWithin(2*time.Hour, n)
		time.Sleep(10 * time.Minute) // in which the last of their second records come to their turn
		runs.once(t, "locked", n)
		stop(t, node)
	})
}
