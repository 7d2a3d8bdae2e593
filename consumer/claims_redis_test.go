package consumer_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

// Ways for Redis to be away, and to come back.
func absences(c *claims) map[string][2]func() {
	return map[string][2]func(){
		"cut off": {c.link.Cut, c.link.Restore},
		"refuses": {
			func() { c.redis.SetError("LOADING the dataset") },
			func() { c.redis.SetError("") },
		},
	}
}

// While Redis is unreachable or refuses every call, nothing starts; running tasks continue and are recorded when Redis
// is back. Then the node resumes by itself, and no task has run twice. Pitfall 58 of docs/pitfalls.md.
func TestRedisAwayWait(t *testing.T) {
	for _, way := range []string{"cut off", "refuses"} {
		t.Run(way, func(t *testing.T) {
			play(t, 2, func(t *testing.T, s *stage) {
				c := newClaims(t)
				runs := newTally()
				g := newGate()
				cfg := c.of(s.config(counting(t, runs, g.hold)))
				cfg.Concurrency = 10
				n := s.start(cfg)
				n.assigned(2)
				s.send("job", 100)
				for range 10 {
					g.await(t)
				}
				time.Sleep(10 * time.Second) // what is refreshed is refreshed
				absences(c)[way][0]()
				time.Sleep(30 * time.Second)
				close(g.open)
				time.Sleep(30 * time.Second)
				if got := len(runs.order()); got > 10+maxBegunAhead(cfg) || len(s.ends()) != 0 {
					t.Errorf("without Redis %d tasks have started and %d have ended, want the 10 from before and 0", got, len(s.ends()))
				}
				absences(c)[way][1]()
				back := time.Now()
				s.await(100)
				if took := time.Since(back); took > 10*time.Second {
					t.Errorf("it took %v after Redis was back", took)
				}
				s.all()
				n.halt()
				runs.once(t, "job", 100)
			})
		})
	}
}

// maxBegunAhead is how many tasks may have been begun beyond those that run.
func maxBegunAhead(cfg consumer.Config) int { return cfg.Concurrency }

// A node that was told to proceed runs tasks without Redis, at least once, and is back to once when Redis is.
func TestRedisAwayProceed(t *testing.T) {
	for _, way := range []string{"cut off", "refuses"} {
		t.Run(way, func(t *testing.T) {
			play(t, 2, func(t *testing.T, s *stage) {
				c := newClaims(t)
				runs := newTally()
				slow := newGate()
				mux := counting(t, runs, nothing)
				handle(t, mux, "slow", slow.hold)
				handle(t, mux, "dies", fails)
				cfg := c.of(s.config(mux))
				cfg.Proceed = true
				n := s.start(cfg)
				n.assigned(2)
				s.send("slow", 1)
				slow.await(t)
				s.send("job", 10)
				s.await(10)
				absences(c)[way][0]()
				s.send("job", 10, task.ID("away"))
				s.send("dies", 10)
				s.await(30)
				s.send("slow", 1, task.ID("begun without"))
				slow.await(t)
				absences(c)[way][1]()
				time.Sleep(10 * time.Second)
				close(slow.open)
				s.send("job", 10) // known
				s.send("job", 20) // ten of them are known
				s.await(42)
				s.all()
				n.halt()
				runs.once(t, "job", 20)
				if got := runs.of("away"); got == 0 {
					t.Error("without Redis nothing ran")
				}
				for _, id := range []string{"slow-0", "begun without", "job-19"} {
					if got := c.look(id); got.State != claim.Succeeded {
						t.Errorf("the claim of %q says %q", id, got)
					}
				}
			})
		})
	}
}

// Redis empties in the middle of runs: nothing is lost, what runs is recorded, and it is known again within seconds that it
// runs.
func TestRedisFlushed(t *testing.T) {
	play(t, 2, func(t *testing.T, s *stage) {
		c := newClaims(t)
		runs := newTally()
		g := newGate()
		mux := counting(t, runs, func(ctx context.Context, tk *task.Task) error {
			_ = g.hold(ctx, tk)
			if tk.ID == "job-1" {
				return task.Permanent(errors.New("no luck"))
			}
			return nil
		})
		cfg := c.of(s.config(mux))
		cfg.Concurrency = 5
		n := s.start(cfg)
		n.assigned(2)
		s.send("job", 10)
		for range 5 {
			g.await(t)
		}
		c.redis.FlushAll()
		time.Sleep(15 * time.Second)
		running := 0
		for _, text := range c.texts() {
			if got, _ := claim.Parse(text); got.State == claim.Running {
				running++
			}
		}
		if running != 5 {
			t.Errorf("%d claims say running after the flush, want the 5 that do", running)
		}
		c.redis.FlushAll()
		close(g.open)
		s.await(10)
		s.send("job", 10) // all are known
		s.all()
		n.halt()
		runs.once(t, "job", 10)
		for i := range 10 {
			if got := c.look(taskID(i)); !got.State.Terminal() {
				t.Errorf("claim %q", got)
			}
		}
	})
}

// A node whose Redis is gone still stops, and a failing task does not hold it up.
func TestStopWithoutRedis(t *testing.T) {
	for name, answer := range map[string]error{"ok": nil, "dies": task.Permanent(errors.New("no luck")), "comes back": errors.New("no luck")} {
		t.Run(name, func(t *testing.T) {
			play(t, 1, func(t *testing.T, s *stage) {
				c := newClaims(t)
				runs := newTally()
				g := newGate()
				mux := counting(t, runs, func(ctx context.Context, tk *task.Task) error {
					if runs.of(tk.ID) > 1 {
						return nil
					}
					_ = g.hold(ctx, tk)
					return answer
				})
				cfg := c.of(s.config(mux))
				cfg.Queues[0].Retry.MaxAttempts = 2
				n := s.start(cfg)
				n.assigned(1)
				s.send("job", 3)
				for range 3 {
					g.await(t)
				}
				c.link.Cut()
				close(g.open)
				time.Sleep(time.Second)
				began := time.Now()
				if err := n.stop(); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > time.Minute {
					t.Errorf("the stop took %v", took)
				}
				c.link.Restore()
				c.lose()
				c.open()
				s.forward()
				next := s.start(c.of(s.config(mux)))
				s.await(3)
				s.all()
				next.halt()
			})
		})
	}
}

// Redis comes back in the last moments of a stop, when a death is to be recorded whose letter can't be written any more.
func TestRedisBackDuringTheStop(t *testing.T) {
	for _, after := range []time.Duration{time.Second, 11 * time.Second, 31 * time.Second, 42 * time.Second} {
		play(t, 1, func(t *testing.T, s *stage) {
			c := newClaims(t)
			g := newGate()
			var second atomic.Bool
			mux := consumer.NewMux()
			handle(t, mux, "job", func(ctx context.Context, tk *task.Task) error {
				if second.Load() {
					t.Error("it ran again")
					return nil
				}
				_ = g.hold(ctx, tk)
				return task.Permanent(errors.New("no such account"))
			})
			cfg := c.of(s.config(mux))
			n := s.start(cfg)
			s.send("job", 1)
			g.await(t)
			c.link.Cut()
			close(g.open)
			time.Sleep(time.Second)
			n.end()
			time.Sleep(after)
			c.link.Restore()
			if err := n.wait(); err != nil {
				t.Error(err)
			}
			if c.look("job-0").State == claim.Running {
				return // it was too late for anything
			}
			second.Store(true)
			next := s.start(c.of(s.config(mux)))
			s.all()
			next.halt()
			if got := c.look("job-0"); got.State != claim.Dead || len(s.letters()) != 1 {
				t.Errorf("%v: its claim says %q, %d letters", after, got, len(s.letters()))
			}
		})
	}
}
