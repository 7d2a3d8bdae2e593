package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

// ordered is the stage's configuration with the queue ordered.
func ordered(s *stage, mux *consumer.Mux) consumer.Config {
	cfg := s.config(mux)
	cfg.Queues[0].Ordered = true
	return cfg
}

// Tasks of one key run one at a time in the order of their offsets, those of several keys side by side.
func TestOrderByKey(t *testing.T) {
	const keys, each = 8, 15
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		busy := make(map[string]bool)
		last := make(map[string]int)
		together, most := 0, 0
		runs := newTally()
		handle(t, mux, "step", func(_ context.Context, tk *task.Task) error {
			runs.mu.Lock()
			if busy[tk.Key] {
				t.Errorf("two tasks of key %s at once", tk.Key)
			}
			var key, i int
			if _, err := fmt.Sscanf(tk.ID, "%d/%d", &key, &i); err != nil {
				t.Error(err)
			}
			if i != last[tk.Key] {
				t.Errorf("key %s: task %d runs after %d others", tk.Key, i, last[tk.Key])
			}
			last[tk.Key]++
			busy[tk.Key] = true
			together++
			most = max(most, together)
			runs.mu.Unlock()
			time.Sleep(time.Duration(1+(key*7+i*13)%10) * time.Millisecond)
			runs.mu.Lock()
			busy[tk.Key] = false
			together--
			runs.mu.Unlock()
			if i%5 == 3 {
				return errors.New("no luck") // the lane goes on after a death
			}
			return nil
		})
		for i := range each {
			for key := range keys {
				s.send("step", 1, task.ID(fmt.Sprintf("%d/%d", key, i)), task.Key(fmt.Sprint("key", key)))
			}
		}
		n := s.start(ordered(s, mux))
		s.await(keys * each)
		if most != keys {
			t.Errorf("at most %d tasks ran together, want one of each of %d keys", most, keys)
		}
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// A stuck task holds up its own key only; tasks without a key wait for nobody.
func TestOrderDelaysOnlyItsKey(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		g := newGate()
		handle(t, mux, "stuck", g.hold)
		runs := newTally()
		handle(t, mux, "free", func(_ context.Context, t *task.Task) error { runs.run(t); return nil })
		s.send("stuck", 1, task.Key("a"))
		s.send("free", 3, task.Key("a"), task.ID("behind"))
		for i := range 50 {
			s.send("free", 1, task.ID(fmt.Sprint("other", i)), task.Key(fmt.Sprint("b", i%5)))
			s.send("free", 1, task.ID(fmt.Sprint("keyless", i)))
		}
		n := s.start(ordered(s, mux))
		s.await(100)
		synctest.Wait()
		if runs.of("behind") != 0 {
			t.Error("a task overtook the one of its key that runs")
		}
		close(g.open)
		s.await(104)
		if runs.of("behind") != 3 {
			t.Errorf("%d of the 3 tasks behind ran", runs.of("behind"))
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// What snoozes keeps its place in its lane.
func TestOrderSurvivesSnooze(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		runs := newTally()
		handle(t, mux, "step", func(_ context.Context, tk *task.Task) error {
			if runs.run(tk) < 3 && strings.HasPrefix(tk.ID, "step-0") {
				return task.Snooze(time.Second)
			}
			return nil
		})
		s.send("step", 3, task.Key("a"))
		n := s.start(ordered(s, mux))
		s.await(3)
		if got, want := runs.order(), []string{"step-0", "step-0", "step-0", "step-1", "step-2"}; !slices.Equal(got, want) {
			t.Errorf("ran %q, want %q", got, want)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A record that is dead before it entered its lane does not start what waits there.
func TestOrderIsNotBrokenByAnInvalidTask(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		g := newGate()
		handle(t, mux, "stuck", g.hold)
		runs := newTally()
		handle(t, mux, "free", func(_ context.Context, t *task.Task) error { runs.run(t); return nil })
		cfg := ordered(s, mux)
		cfg.Queues[0].Horizon = time.Hour
		s.send("stuck", 1, task.Key("a"))
		s.send("free", 1, task.Key("a"))
		s.send("never", 1, task.Key("a"), task.In(2*time.Hour))
		s.send("free", 1, task.Key("a"), task.ID("last"))
		n := s.start(cfg)
		if e := s.await(1)[0]; e.Task.ID != "never-0" || e.Reason != task.ReasonInvalid {
			t.Fatalf("%s is %s %s, want the task beyond the horizon to be dead as invalid", e.Task.ID, e.State, e.Reason)
		}
		s.send("free", 1, task.Key("a"), task.ID("later"))
		n.until("the last task polled", func(s consumer.Stats) bool { return s.Polled == 5 })
		synctest.Wait()
		if got := runs.order(); len(got) > 0 {
			t.Errorf("%q ran beside another task of their key", got)
		}
		close(g.open)
		s.await(5)
		if got, want := runs.order(), []string{"free-0", "last", "later"}; !slices.Equal(got, want) {
			t.Errorf("ran %q, want %q", got, want)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A task that is not due yet leaves for the retry tiers before it enters its lane, and does not start what waits there.
func TestOrderIsNotBrokenByADelayedTask(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		g := newGate()
		handle(t, mux, "stuck", g.hold)
		runs := newTally()
		handle(t, mux, "free", func(_ context.Context, t *task.Task) error { runs.run(t); return nil })
		s.forward()
		s.send("stuck", 1, task.Key("a"))
		s.send("free", 1, task.Key("a"))
		s.send("free", 1, task.Key("a"), task.ID("delayed"), task.In(20*time.Minute))
		s.send("free", 1, task.Key("a"), task.ID("last"))
		n := s.start(ordered(s, mux))
		g.await(t)
		n.until("all are polled", func(s consumer.Stats) bool { return s.Polled == 4 && s.InflightRecords == 3 })
		synctest.Wait()
		if got := runs.order(); len(got) > 0 {
			t.Errorf("%q ran beside another task of their key", got)
		}
		close(g.open)
		s.await(3)
		s.awaitWithin(21*time.Minute, 4)
		if got, want := runs.order(), []string{"free-0", "last", "delayed"}; !slices.Equal(got, want) {
			t.Errorf("ran %q, want %q", got, want)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// In a queue that is not ordered a key means nothing.
func TestUnorderedQueueIgnoresKeys(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		g := newGate()
		handle(t, mux, "stuck", g.hold)
		s.send("stuck", 20, task.Key("a"))
		n := s.start(s.config(mux))
		for range 20 {
			g.await(t)
		}
		close(g.open)
		s.await(20)
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}
