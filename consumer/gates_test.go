package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/task"
)

// A ledger hands out the slots of types within one process: limits without etcd, for one consumer or several.
type ledger struct {
	mu     sync.Mutex
	limits map[string]int
	used   map[string]map[int]bool
	token  int64
	lease  *lease.Lease
	tell   map[*holder]func(string)
}

// A holder is a consumer's part in a ledger.
type holder struct {
	*ledger
	want map[string]int // the latest wish, by type
}

func newLedger(t *testing.T, limits map[string]int) *ledger {
	l := &ledger{limits: limits, used: make(map[string]map[int]bool), tell: make(map[*holder]func(string))}
	l.renew(t)
	return l
}

// renew begins a session.
func (l *ledger) renew(t *testing.T) {
	s := lease.New("s")
	s.Trust(time.Now().Add(24 * time.Hour))
	t.Cleanup(s.End)
	l.mu.Lock()
	l.lease = s
	clear(l.used)
	l.mu.Unlock()
	l.notify()
}

func (l *ledger) holder() *holder { return &holder{ledger: l, want: make(map[string]int)} }

func (m *holder) Want(typ string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.want[typ] = n
}

func (m *holder) Take(typ string) (*lease.Slot, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used[typ] == nil {
		m.used[typ] = make(map[int]bool)
	}
	for i := range m.limits[typ] {
		if !m.used[typ][i] && m.want[typ] > 0 && m.lease.Trusted() {
			m.used[typ][i] = true
			m.token++
			return &lease.Slot{Type: typ, Number: i, Token: m.token, Lease: m.lease}, true
		}
	}
	return nil, false
}

func (m *holder) Release(s *lease.Slot) {
	m.mu.Lock()
	if s.Lease == m.lease {
		delete(m.used[s.Type], s.Number)
	}
	m.mu.Unlock()
	go m.notify() // others may have it
}

func (m *holder) Notify(f func(string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tell[m] = f
}

func (l *ledger) notify() {
	l.mu.Lock()
	tell := maps.Clone(l.tell)
	limits := maps.Clone(l.limits)
	l.mu.Unlock()
	for _, f := range tell {
		for typ := range limits {
			if f != nil {
				f(typ)
			}
		}
	}
}

// taken counts the slots in use.
func (l *ledger) taken(typ string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.used[typ])
}

// A crowd counts how many are inside at once.
type crowd struct{ now, most atomic.Int64 }

func (c *crowd) enter() {
	n := c.now.Add(1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
}

func (c *crowd) leave() { c.now.Add(-1) }

// limited is a consumer's configuration with limits that are kept, and the rules to apply.
func limited(cfg consumer.Config, l *ledger) (consumer.Config, consumer.Rules) {
	cfg.Limits = l.holder()
	r := consumer.Rules{Types: make(map[string]consumer.Rule)}
	for typ, n := range l.limits {
		r.Types[typ] = consumer.Rule{Limit: n}
	}
	return cfg, r
}

func apply(t *testing.T, c *consumer.Consumer, r consumer.Rules) {
	t.Helper()
	if err := c.Apply(r); err != nil {
		t.Fatal(err)
	}
}

func stop(t *testing.T, n *node) {
	t.Helper()
	if err := n.stop(); err != nil {
		t.Error(err)
	}
}

// TestLimit: no more tasks of a type run at once than its limit, in two consumers together; all of them run, and their
// handlers see tokens that grow.
func TestLimit(t *testing.T) {
	for _, limit := range []int{1, 3} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			playReal(t, 4, func(t *testing.T, s *stage) {
				const n = 100
				l := newLedger(t, map[string]int{"locked": limit})
				inside, runs := new(crowd), newTally()
				var last atomic.Int64
				mux := consumer.NewMux()
				handle(t, mux, "locked", func(ctx context.Context, tk *task.Task) error {
					inside.enter()
					defer inside.leave()
					token, ok := task.Slot(ctx)
					if before := last.Swap(token); !ok || limit == 1 && token <= before {
						t.Errorf("token %d (%t) after %d", token, ok, before)
					}
					runs.run(tk)
					return nil
				})
				s.send("locked", n)
				s.forward()
				var nodes []*node
				for range 2 {
					cfg, rules := limited(s.config(mux), l)
					nodes = append(nodes, s.start(cfg))
					apply(t, nodes[len(nodes)-1].Consumer, rules)
				}
				s.await(n)
				runs.once(t, "locked", n)
				if most := inside.most.Load(); most > int64(limit) {
					t.Errorf("%d ran at once", most)
				}
				eventually(t, "slots given back", func() bool { return l.taken("locked") == 0 })
				for _, n := range nodes {
					stop(t, n)
				}
			})
		})
	}
}

// TestLockedTypeDelaysNoOther: a locked type waits for a slot that it does not get, with more tasks than the window holds.
// Those of a free type in the same queue run as if it were not there; later the locked ones do.
func TestLockedTypeDelaysNoOther(t *testing.T) {
	const waiting, n, window = 150, 100, 60
	play(t, 4, func(t *testing.T, s *stage) {
		l := newLedger(t, map[string]int{"locked": 0})
		cfg, _ := limited(s.config(consumer.NewMux()), l)
		cfg.Concurrency, cfg.MaxInflight = 10, window
		runs := newTally()
		for _, typ := range []string{"locked", "free"} {
			handle(t, cfg.Mux, typ, func(_ context.Context, tk *task.Task) error { runs.run(tk); return nil })
		}
		s.send("locked", waiting)
		s.send("free", n)
		s.forward()
		node := s.start(cfg)
		rules := consumer.Rules{Types: map[string]consumer.Rule{"locked": {Limit: 1}}}
		apply(t, node.Consumer, rules)
		s.await(n)
		runs.once(t, "free", n)
		if st := node.Stats()[0]; st.Standing > window/4 {
			t.Errorf("%d of a window of %d stand at the gate", st.Standing, window)
		}
		time.Sleep(3 * time.Minute) // in which they come and go
		if st := node.Stats()[0]; st.Standing > window/4 || int(st.Succeeded) != n {
			t.Errorf("%d stand, %d have succeeded", st.Standing, st.Succeeded)
		}
		l.mu.Lock()
		l.limits["locked"] = 1
		l.mu.Unlock()
		l.notify()
		s.awaitWithin(2*time.Hour, waiting+n) // until those are back that were put off
		runs.once(t, "locked", waiting)
		stop(t, node)
	})
}

// TestPausedType: nothing of a paused type starts, not even what is ready; it goes on when it may, and none is lost or run
// twice.
func TestPausedType(t *testing.T) {
	play(t, 2, func(t *testing.T, s *stage) {
		cfg := s.config(consumer.NewMux())
		cfg.Concurrency = 1
		runs, gate := newTally(), newGate()
		handle(t, cfg.Mux, "paused", func(ctx context.Context, tk *task.Task) error { runs.run(tk); return gate.hold(ctx, tk) })
		handle(t, cfg.Mux, "free", func(_ context.Context, tk *task.Task) error { runs.run(tk); return nil })
		node := s.start(cfg)
		s.forward()
		s.send("paused", 50)
		gate.await(t) // the others are ready
		apply(t, node.Consumer, consumer.Rules{Types: map[string]consumer.Rule{"paused": {Paused: true}}})
		close(gate.open)
		s.send("free", 20)
		s.await(21)
		time.Sleep(3 * time.Minute)
		if got := len(s.ends()); got != 21 {
			t.Fatalf("%d have ended, want the one that ran and those of the other type", got)
		}
		apply(t, node.Consumer, consumer.Rules{})
		s.awaitWithin(5*time.Minute, 70) // until those are back that were put off
		runs.once(t, "paused", 50)
		eventually(t, "all committed", func() bool { return s.lag() == 0 })
		stop(t, node)
	})
}

// TestPausedQueue: nothing of a paused queue starts, and it goes on where it was.
func TestPausedQueue(t *testing.T) {
	play(t, 2, func(t *testing.T, s *stage) {
		cfg := s.config(consumer.NewMux())
		cfg.Queues = append(cfg.Queues, consumer.Queue{Name: "other"})
		runs := newTally()
		handle(t, cfg.Mux, "t", func(_ context.Context, tk *task.Task) error { runs.run(tk); return nil })
		handle(t, cfg.Mux, "u", func(_ context.Context, tk *task.Task) error { runs.run(tk); return nil })
		node := s.start(cfg)
		apply(t, node.Consumer, consumer.Rules{Paused: map[string]bool{"tasks": true}})
		s.send("t", 300)
		s.sendTo("other", "u", 100)
		s.await(100)
		time.Sleep(10 * time.Minute)
		if got := len(s.ends()); got != 100 {
			t.Fatalf("%d have ended, want those of the other queue", got)
		}
		if st := node.Stats()[0]; st.InflightRecords > 0 {
			t.Errorf("%d records of a paused queue are in memory", st.InflightRecords)
		}
		if err := node.Healthy(); err != nil {
			t.Errorf("a paused queue is taken for a fault: %v", err)
		}
		apply(t, node.Consumer, consumer.Rules{})
		s.await(400)
		runs.once(t, "t", 300)
		stop(t, node)
	}, "other")
}

// TestSlotIsLost: the session ends in which a task has its slot. Its handler is told, what it answers is no failure, and
// it runs again with a slot of the next session.
func TestSlotIsLost(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		l := newLedger(t, map[string]int{"locked": 1})
		cfg, rules := limited(s.config(consumer.NewMux()), l)
		var runs atomic.Int64
		started := make(chan struct{})
		handle(t, cfg.Mux, "locked", func(ctx context.Context, _ *task.Task) error {
			if runs.Add(1) > 1 {
				return nil
			}
			close(started)
			<-ctx.Done()
			return fmt.Errorf("given up: %w", context.Cause(ctx))
		})
		node := s.start(cfg)
		apply(t, node.Consumer, rules)
		s.send("locked", 1)
		<-started
		l.mu.Lock()
		l.lease.End()
		l.mu.Unlock()
		synctest.Wait()
		if n := runs.Load(); n != 1 {
			t.Fatalf("it ran %d times without a session", n)
		}
		l.renew(t)
		if e := s.await(1)[0]; e.State != task.Succeeded || e.Task.Attempt != 1 {
			t.Errorf("it ended %s in attempt %d: %v", e.State, e.Task.Attempt, e.Err)
		}
		stop(t, node)
	})
}

// TestLimitInLanes: in an ordered queue a limited type keeps the order of each key, whatever has to wait.
func TestLimitInLanes(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		l := newLedger(t, map[string]int{"locked": 1})
		cfg, rules := limited(s.config(consumer.NewMux()), l)
		cfg.Queues[0].Ordered = true
		cfg.Queues[0].Retry.MaxAttempts = 5
		runs := newTally()
		fail := errors.New("not yet")
		handle(t, cfg.Mux, "locked", func(_ context.Context, tk *task.Task) error {
			if n := runs.run(tk); n < 3 && tk.ID == "locked-0" {
				return fail
			}
			return nil
		})
		node := s.start(cfg)
		apply(t, node.Consumer, rules)
		s.send("locked", 10, task.Key("a"))
		s.await(10)
		order := runs.order()
		for i, id := range order[3:] {
			if want := fmt.Sprintf("locked-%d", i+1); id != want {
				t.Fatalf("it ran %v", order)
			}
		}
		stop(t, node)
	})
}

// TestABusyNodeKeepsNoSlot: a node whose slots are all taken for long leaves those of a type to others, and tries again.
func TestABusyNodeKeepsNoSlot(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		l := newLedger(t, map[string]int{"locked": 1})
		cfg, rules := limited(s.config(consumer.NewMux()), l)
		cfg.Concurrency = 2
		gate := newGate()
		handle(t, cfg.Mux, "long", gate.hold)
		handle(t, cfg.Mux, "locked", func(context.Context, *task.Task) error { return nil })
		node := s.start(cfg)
		s.forward()
		apply(t, node.Consumer, rules)
		s.send("long", 2)
		gate.await(t)
		gate.await(t)
		s.send("locked", 3)
		taken := 0
		for range 600 {
			time.Sleep(100 * time.Millisecond)
			taken += l.taken("locked")
		}
		if taken > 300 || taken == 0 {
			t.Errorf("in a minute the slot was held for %d tenths of a second", taken)
		}
		close(gate.open)
		s.await(5)
		stop(t, node)
	})
}

// TestRulesThatCantBe: a limit needs somebody who keeps it.
func TestRulesThatCantBe(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		node := s.start(s.config(mux))
		for _, r := range []consumer.Rule{{Limit: 1}, {Limit: -1}} {
			if err := node.Apply(consumer.Rules{Types: map[string]consumer.Rule{"t": r}}); err == nil {
				t.Errorf("%+v is taken", r)
			}
		}
		stop(t, node)
	})
}

// TestSlotIsLostBeforeTheStart: a turn was let through and waits for the node's slot when the session ends that has its
// type's. It starts in the next session only.
func TestSlotIsLostBeforeTheStart(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		l := newLedger(t, map[string]int{"locked": 1})
		cfg, rules := limited(s.config(consumer.NewMux()), l)
		cfg.Concurrency = 1
		gate, runs := newGate(), newTally()
		handle(t, cfg.Mux, "long", gate.hold)
		handle(t, cfg.Mux, "locked", func(_ context.Context, tk *task.Task) error { runs.run(tk); return nil })
		node := s.start(cfg)
		apply(t, node.Consumer, rules)
		s.send("long", 1)
		gate.await(t)
		s.send("locked", 1)
		eventually(t, "the locked one was let through", func() bool { return l.taken("locked") == 1 })
		l.mu.Lock()
		l.lease.End()
		l.mu.Unlock()
		close(gate.open)
		time.Sleep(10 * time.Second)
		if n := runs.of("locked-0"); n != 0 {
			t.Errorf("it ran %d times without a session", n)
		}
		l.renew(t)
		s.await(2)
		stop(t, node)
	})
}

// TestOrderedTasksStand: in an ordered queue no task is put off, however many stand at the gate for however long: their
// order would be lost.
func TestOrderedTasksStand(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		const n = 120
		l := newLedger(t, map[string]int{"locked": 0})
		cfg, _ := limited(s.config(consumer.NewMux()), l)
		cfg.Queues[0].Ordered = true
		cfg.MaxInflight = 160
		runs := newTally()
		handle(t, cfg.Mux, "locked", func(_ context.Context, tk *task.Task) error { runs.run(tk); return nil })
		node := s.start(cfg)
		apply(t, node.Consumer, consumer.Rules{Types: map[string]consumer.Rule{"locked": {Limit: 1}}})
		for i := range n {
			s.sendTo("tasks", "locked", 1, task.ID(fmt.Sprintf("locked-%d", i)), task.Key(fmt.Sprint(i%(n/2))))
		}
		time.Sleep(3 * time.Minute)
		if st := node.Stats()[0]; st.Moved > 0 || st.Standing != n/2 {
			t.Errorf("%d were put off, %d stand", st.Moved, st.Standing)
		}
		l.mu.Lock()
		l.limits["locked"] = 1
		l.mu.Unlock()
		l.notify()
		s.await(n)
		runs.once(t, "locked", n)
		at := make(map[string]int)
		for i, id := range runs.order() {
			at[id] = i
		}
		for i := range n / 2 {
			if first, second := fmt.Sprintf("locked-%d", i), fmt.Sprintf("locked-%d", i+n/2); at[first] > at[second] {
				t.Errorf("%s ran before %s, of the same key", second, first)
			}
		}
		stop(t, node)
	})
}

// TestPausedQueueStopsWhatIsReady: what was fetched and has not started when its queue is paused waits too.
func TestPausedQueueStopsWhatIsReady(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		cfg := s.config(consumer.NewMux())
		cfg.Concurrency = 1
		gate := newGate()
		handle(t, cfg.Mux, "t", gate.hold)
		node := s.start(cfg)
		s.send("t", 50)
		gate.await(t)
		node.until("the rest is ready", func(st consumer.Stats) bool { return st.Ready == 49 })
		apply(t, node.Consumer, consumer.Rules{Paused: map[string]bool{"tasks": true}})
		close(gate.open)
		time.Sleep(time.Minute)
		if got := len(s.ends()); got != 1 {
			t.Fatalf("%d have ended, want the one that ran", got)
		}
		apply(t, node.Consumer, consumer.Rules{})
		s.await(50)
		stop(t, node)
	})
}

// TestRevokedTurnsLeaveTheirGates: what stands at a gate goes with its partition.
func TestRevokedTurnsLeaveTheirGates(t *testing.T) {
	playReal(t, 4, func(t *testing.T, s *stage) {
		const n = 80
		runs := newTally()
		mux := consumer.NewMux()
		handle(t, mux, "paused", func(_ context.Context, tk *task.Task) error { runs.run(tk); return nil })
		paused := consumer.Rules{Types: map[string]consumer.Rule{"paused": {Paused: true}}}
		one := s.start(s.config(mux))
		apply(t, one.Consumer, paused)
		s.send("paused", n)
		one.until("all stand", func(st consumer.Stats) bool { return st.Standing == n })
		two := s.start(s.config(mux))
		apply(t, two.Consumer, paused)
		one.until("half of them have left", func(st consumer.Stats) bool { return st.Standing == n/2 && st.InflightRecords == n/2 })
		two.until("they stand at the other node's", func(st consumer.Stats) bool { return st.Standing == n/2 })
		apply(t, one.Consumer, consumer.Rules{})
		apply(t, two.Consumer, consumer.Rules{})
		s.await(n)
		runs.once(t, "paused", n)
		stop(t, one)
		stop(t, two)
	})
}

// TestNobodyStandsForLong: what stands at a gate holds back the commits of its partition, so it is put off.
func TestNobodyStandsForLong(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		cfg := s.config(consumer.NewMux())
		handle(t, cfg.Mux, "paused", func(context.Context, *task.Task) error { return nil })
		handle(t, cfg.Mux, "free", func(context.Context, *task.Task) error { return nil })
		node := s.start(cfg)
		apply(t, node.Consumer, consumer.Rules{Types: map[string]consumer.Rule{"paused": {Paused: true}}})
		s.send("paused", 5)
		s.send("free", 10)
		s.await(10)
		time.Sleep(35 * time.Second)
		if st := node.Stats()[0]; st.Standing > 0 || st.Moved != 5 || s.lag() > 0 {
			t.Errorf("%d stand, %d were put off, %d records are not committed", st.Standing, st.Moved, s.lag())
		}
		stop(t, node)
	})
}
