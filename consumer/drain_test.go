package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

// A stop lets running tasks finish and starts no others, so each task runs exactly once over this consumer and the
// next. Pitfall 21 of docs/pitfalls.md.
func TestDrainFinishesRunningTasks(t *testing.T) {
	const tasks, slots = 300, 10
	play(t, 4, func(t *testing.T, s *stage) {
		runs := newTally()
		g := newGate()
		first := consumer.NewMux()
		handle(t, first, "job", func(ctx context.Context, tk *task.Task) error {
			runs.run(tk)
			if err := g.hold(ctx, tk); err != nil || ctx.Err() != nil {
				t.Errorf("%s was disturbed: %v", tk.ID, ctx.Err())
			}
			if tk.ID == "job-7" {
				return errors.New("no luck") // its letter belongs to the drain too
			}
			return nil
		})
		cfg := s.config(first)
		cfg.Concurrency = slots
		s.send("job", tasks)
		n := s.start(cfg)
		for range slots {
			g.await(t)
		}
		n.end()
		time.Sleep(20 * time.Second)
		close(g.open)
		if err := n.wait(); err != nil {
			t.Fatal(err)
		}
		if got := len(runs.order()); got != slots {
			t.Errorf("%d tasks were started, want the %d that ran when the stop came", got, slots)
		}
		second := consumer.NewMux()
		handle(t, second, "job", func(_ context.Context, tk *task.Task) error { runs.run(tk); return nil })
		next := s.start(s.config(second))
		s.await(tasks)
		if err := next.stop(); err != nil {
			t.Fatal(err)
		}
		// Without claims a completion above a watermark that is held back would be repeated; here none is.
		runs.once(t, "job", tasks)
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// When the drain time is over, contexts end, and tasks that obey are delivered again: that is no failure of theirs,
// in whatever way their handlers end.
func TestDrainTimeIsOver(t *testing.T) {
	ways := map[string]func(context.Context) error{
		"returns":     func(ctx context.Context) error { return ctx.Err() },
		"permanently": func(ctx context.Context) error { return task.Permanent(ctx.Err()) },
		"snoozes":     func(context.Context) error { return task.Snooze(time.Second) },
		"panics":      func(ctx context.Context) error { panic(ctx.Err()) },
		"exits":       func(context.Context) error { runtime.Goexit(); return nil },
	}
	play(t, 1, func(t *testing.T, s *stage) {
		runs := newTally()
		mux := consumer.NewMux()
		var second atomic.Bool
		for typ, way := range ways {
			handle(t, mux, typ, func(ctx context.Context, tk *task.Task) error {
				runs.run(tk)
				if second.Load() {
					return nil
				}
				<-ctx.Done()
				return way(ctx)
			})
			s.send(typ, 1)
		}
		cfg := s.config(mux)
		cfg.Drain = 10 * time.Second
		n := s.start(cfg)
		n.until("all run", func(s consumer.Stats) bool { return s.Running == len(ways) })
		began := time.Now()
		if err := n.stop(); err != nil {
			t.Errorf("handlers that obey are not left behind: %v", err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("the stop took %v, want the drain time of 10s", took)
		}
		if ends := s.ends(); len(ends) != 0 {
			t.Errorf("%s is %s %s: %v", ends[0].Task.ID, ends[0].State, ends[0].Reason, ends[0].Err)
		}
		if got := n.Stats()[0]; int(got.Dropped) != len(ways) || got.InflightRecords != 0 || got.InflightBytes != 0 {
			t.Errorf("%+v, want %d dropped and nothing in flight", got, len(ways))
		}
		second.Store(true)
		next := s.start(s.config(mux))
		for _, e := range s.await(len(ways)) {
			if e.State != task.Succeeded || runs.of(e.Task.ID) != 2 {
				t.Errorf("%s is %s after %d runs", e.Task.ID, e.State, runs.of(e.Task.ID))
			}
		}
		if err := next.stop(); err != nil {
			t.Error(err)
		}
	})
}

// What a handler finished after its context ended counts.
func TestDrainKeepsALateSuccess(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		entered := make(chan struct{})
		handle(t, mux, "late", func(ctx context.Context, _ *task.Task) error {
			close(entered)
			<-ctx.Done()
			time.Sleep(time.Second)
			return nil
		})
		cfg := s.config(mux)
		cfg.Drain = 5 * time.Second
		n := s.start(cfg)
		s.send("late", 1)
		<-entered
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

func TestAbort(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		g := newGate()
		handle(t, mux, "obeys", g.obey)
		n := s.start(s.config(mux))
		s.send("obeys", 5)
		for range 5 {
			g.await(t)
		}
		n.end()
		began := time.Now()
		n.Abort()
		if err := n.wait(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the stop took %v after the abort", took)
		}
		if len(s.ends()) != 0 || s.committed(0) > 0 {
			t.Errorf("%d settled, committed %d", len(s.ends()), s.committed(0))
		}
	})
}

// After an abort nothing is started with a context that has ended already, not even before the stop.
func TestAbortStartsNothing(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		runs := newTally()
		handle(t, mux, "job", func(ctx context.Context, tk *task.Task) error { runs.run(tk); return ctx.Err() })
		n := s.start(s.config(mux))
		n.assigned(1)
		n.Abort()
		s.send("job", 5)
		n.until("all polled", func(s consumer.Stats) bool { return s.Polled == 5 })
		time.Sleep(time.Second)
		if got := len(runs.order()); got != 0 {
			t.Errorf("%d tasks were started", got)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A handler that does not return is left behind, and Run says so.
func TestAbandoned(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		g := newGate()
		handle(t, mux, "stuck", g.hold)
		handle(t, mux, "ok", nothing)
		cfg := s.config(mux)
		cfg.Drain = time.Second
		n := s.start(cfg)
		s.send("ok", 3)
		s.send("stuck", 1)
		s.send("ok", 3)
		g.await(t)
		s.await(6)
		began := time.Now()
		if err := n.stop(); !errors.Is(err, consumer.ErrAbandoned) {
			t.Errorf("stop: %v, want ErrAbandoned", err)
		}
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("the stop took %v", took)
		}
		// Its task was handed on, so that what was finished behind it could be committed.
		if got := s.committed(0); got != 7 {
			t.Errorf("committed %d, want 7", got)
		}
		again := s.start(s.config(mux))
		if got := g.await(t); got.ID != "stuck-0" {
			t.Errorf("%s was handed on", got.ID)
		}
		close(g.open)
		if err := again.stop(); err != nil {
			t.Error(err)
		}
		if got := s.committed(0); got != 8 {
			t.Errorf("committed %d, want 8: the copy that was handed on", got)
		}
	})
}

// A stop in the middle of hundreds of tasks of 50 ms: nothing lost, nothing run twice.
func TestStopUnderLoad(t *testing.T) {
	const tasks = 1500
	play(t, 4, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		runs := newTally()
		handle(t, mux, "job", func(_ context.Context, tk *task.Task) error {
			runs.run(tk)
			time.Sleep(50 * time.Millisecond)
			return nil
		})
		s.send("job", tasks)
		for i := 0; len(s.ends()) < tasks; i++ {
			n := s.start(s.config(mux))
			s.await(min(tasks, (i+1)*tasks/3))
			if err := n.stop(); err != nil {
				t.Fatal(err)
			}
		}
		runs.once(t, "job", tasks)
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// Close returns also when Run was never called. Pitfall 17 of docs/pitfalls.md.
func TestCloseWithoutRun(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		for _, wait := range []time.Duration{0, 5 * time.Second} {
			c, err := consumer.New(s.config(consumer.NewMux()))
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(wait)
			c.Close()
		}
	})
}

func TestNewRefuses(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		tests := map[string]func(*consumer.Config){
			"no brokers":           func(c *consumer.Config) { c.Kafka = nil },
			"no mux":               func(c *consumer.Config) { c.Mux = nil },
			"no queues":            func(c *consumer.Config) { c.Queues = nil },
			"a queue without name": func(c *consumer.Config) { c.Queues = []consumer.Queue{{}} },
			"a queue twice":        func(c *consumer.Config) { c.Queues = append(c.Queues, c.Queues[0]) },
			"negative concurrency": func(c *consumer.Config) { c.Concurrency = -1 },
			"negative drain":       func(c *consumer.Config) { c.Drain = -1 },
			"negative weight":      func(c *consumer.Config) { c.Queues = []consumer.Queue{{Name: "q", Weight: -1}} },
			"a bad second queue": func(c *consumer.Config) {
				c.Queues = append(c.Queues, consumer.Queue{Name: "a/b"})
			},
		}
		for name, spoil := range tests {
			cfg := s.config(consumer.NewMux())
			spoil(&cfg)
			if c, err := consumer.New(cfg); err == nil {
				t.Errorf("%s: no error", name)
				c.Close()
			} else if msg := fmt.Sprint(err); len(msg) < 20 {
				t.Errorf("%s: %q says too little", name, msg)
			}
		}
	})
}
