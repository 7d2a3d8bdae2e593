package consumer_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/tasktier/tasktier/internal/testenv/consumertest"
	"github.com/tasktier/tasktier/internal/testenv/inmemory"
	"github.com/tasktier/tasktier/task"
)

// Claims of a stage: a Redis in memory, whose clock is the bubble's, a link to it that can be cut, and a process in a
// registry of sessions.
type claims struct {
	t        *testing.T
	shared   *consumertest.Claims
	registry *inmemory.Registry
	member   *inmemory.Member
	redis    *inmemory.Redis
	link     *bubble.Link
	store    *claim.Store
}

func newClaims(t *testing.T) *claims {
	t.Helper()
	c := consumertest.NewClaims(t)
	return &claims{t: t, shared: c, registry: c.Registry, member: c.Member, redis: c.Redis, link: c.Link, store: c.Store}
}

// The session of the claims' process, and what the registry reports of others.
func (c *claims) open() (session string)         { return c.member.OpenSession() }
func (c *claims) lose()                          { c.member.CloseSession() }
func (c *claims) endLease() (session string)     { return c.member.EndLease() }
func (c *claims) set(session string, alive bool) { c.registry.SetAlive(session, alive) }

// of adds the claims to a configuration.
func (c *claims) of(cfg consumer.Config) consumer.Config {
	cfg.Claims, cfg.Members = c.store, c.member
	return cfg
}

// put writes a claim.
func (c *claims) put(id string, text claim.Claim) {
	c.t.Helper()
	if err := c.redis.Set(consumertest.Key(id), text.String()); err != nil {
		c.t.Fatal(err)
	}
}

// look returns a task's claim; of State 0 if there is none.
func (c *claims) look(id string) claim.Claim {
	c.t.Helper()
	return c.shared.Look(id)
}

// details of a task, zero if there are none.
func (c *claims) details(id string) claim.Details {
	c.t.Helper()
	d, err := c.store.Details(c.t.Context(), consumertest.Identity(id))
	if err != nil {
		c.t.Fatal(err)
	}
	if d == nil {
		return claim.Details{}
	}
	return *d
}

// texts returns the claims in Redis.
func (c *claims) texts() (texts []string) {
	for _, key := range c.redis.Keys() {
		if strings.HasPrefix(key, "tasktier:{") && strings.Count(key, ":") == 2 {
			text, _ := c.redis.Get(key)
			texts = append(texts, text)
		}
	}
	return texts
}

// ghost is the claim of a run by another process, which has begun it a moment ago.
func ghost(session string) claim.Claim {
	now := time.Now()
	return claim.Claim{
		State: claim.Running, Turn: 1, Attempt: 1, Owner: session, Fence: now.UnixMicro() + 1_000_000_000, At: now.UnixMilli(), Type: "job",
	}
}

// counting is a mux whose handler of "job" counts and answers what h does.
func counting(t *testing.T, runs *tally, h consumer.Handler) *consumer.Mux {
	t.Helper()
	mux := consumer.NewMux()
	handle(t, mux, "job", func(ctx context.Context, tk *task.Task) error {
		runs.run(tk)
		return h(ctx, tk)
	})
	return mux
}

// halt stops a node and fails the test if that is not clean.
func (n *node) halt() {
	n.t.Helper()
	if err := n.stop(); err != nil {
		n.t.Error(err)
	}
}

// all waits until every record of "tasks" is committed.
func (s *stage) all() {
	s.t.Helper()
	eventually(s.t, "the commit of all", func() bool { return s.lag() == 0 })
}

// The same task, sent hundreds of times, runs once.
func TestClaimsRunATaskOnce(t *testing.T) {
	play(t, 4, func(t *testing.T, s *stage) {
		c := newClaims(t)
		runs := newTally()
		for range 200 {
			s.send("job", 1)
		}
		s.send("job", 8)
		n := s.start(c.of(s.config(counting(t, runs, nothing))))
		s.await(8)
		n.until("the repetitions", func(s consumer.Stats) bool { return s.Repeated == 200 })
		synctest.Wait()
		n.halt()
		runs.once(t, "job", 8)
		for _, text := range c.texts() {
			if !strings.HasPrefix(text, "1s 0 1 1 0 ") {
				t.Errorf("claim %q, want one that succeeded", text)
			}
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// A finished task that is delivered again is not run again, whatever the group has forgotten.
func TestClaimsOutliveOffsets(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		runs := newTally()
		mux := counting(t, runs, func(_ context.Context, tk *task.Task) error {
			if tk.ID == "job-3" {
				return task.Permanent(fmt.Errorf("no luck"))
			}
			return nil
		})
		s.send("job", 20)
		for range 3 {
			n := s.start(c.of(s.config(mux)))
			s.all()
			n.halt()
			s.commit(0, "")
		}
		runs.once(t, "job", 20)
		if got := len(s.letters()); got != 1 {
			t.Errorf("%d letters, want 1", got)
		}
	})
}

// A record of a turn that the task has left behind is stale, wherever the task is now; one of the turn to come runs.
func TestClaimsKnowStaleTurns(t *testing.T) {
	tests := []struct {
		name  string
		claim claim.Claim
		runs  int
	}{
		{"waits for turn 2", claim.Claim{State: claim.Retrying, Turn: 2, Attempt: 2}, 0},
		{"waits for turn 1", claim.Claim{State: claim.Pending, Turn: 1, Attempt: 1}, 1},
		{"runs turn 2", claim.Claim{State: claim.Running, Turn: 2, Attempt: 2, Owner: "ghost", Fence: 1}, 0},
		{"was replayed and waits", claim.Claim{State: claim.Pending, Generation: 1, Turn: 1, Attempt: 1}, 0},
		{"was replayed and is dead", claim.Claim{State: claim.Dead, Generation: 1, Turn: 1, Attempt: 1}, 0},
		{"is canceled for good", claim.Claim{State: claim.Canceled, Generation: claim.AllGenerations, Turn: 1, Attempt: 1}, 0},
	}
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		c.set("ghost", true)
		runs := newTally()
		for _, tt := range tests {
			tt.claim.Type = "job"
			c.put(tt.name, tt.claim)
			s.send("job", 1, task.ID(tt.name))
		}
		n := s.start(c.of(s.config(counting(t, runs, nothing))))
		s.all()
		n.halt()
		for _, tt := range tests {
			if got := runs.of(tt.name); got != tt.runs {
				t.Errorf("one that %s ran %d times, want %d", tt.name, got, tt.runs)
			}
		}
	})
}

// A second record of a task waits without a worker while the first runs, and is dropped and counted as repeated when
// the first has ended. Pitfall 63 of docs/pitfalls.md.
func TestClaimsHoldASecondRecord(t *testing.T) {
	play(t, 2, func(t *testing.T, s *stage) {
		c := newClaims(t)
		g := newGate()
		runs := newTally()
		mux := counting(t, runs, func(ctx context.Context, tk *task.Task) error {
			if tk.ID == "twice" {
				return g.hold(ctx, tk)
			}
			return nil
		})
		cfg := c.of(s.config(mux))
		cfg.Concurrency = 2
		n := s.start(cfg)
		n.assigned(2)
		s.send("job", 2, task.ID("twice")) // of two partitions
		s.send("job", 1, task.ID("twice"))
		g.await(t)
		s.send("job", 10) // the other slot goes on
		s.await(10)
		time.Sleep(10 * time.Minute)
		if got := n.Stats()[0]; got.Running != 1 || got.InflightRecords != 3 || got.Repeated != 0 {
			t.Errorf("%+v, want one that runs and two that wait for it", got)
		}
		close(g.open)
		s.all()
		n.halt()
		if got := n.Stats()[0]; got.Repeated != 2 || runs.of("twice") != 1 {
			t.Errorf("it ran %d times and was dropped %d times, want 1 and 2", runs.of("twice"), got.Repeated)
		}
	})
}

// What a queue remembers it forgets after its window, which is one for ids that tasktier mints and one for others.
func TestClaimsWindow(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		runs := newTally()
		ids := []string{task.New("job", nil).ID, "chosen"}
		send := func() {
			for _, id := range ids {
				s.send("job", 1, task.ID(id))
			}
			s.all()
		}
		cfg := c.of(s.config(counting(t, runs, nothing)))
		cfg.Queues[0].Window, cfg.Queues[0].IDWindow = time.Minute, 5*time.Minute
		n := s.start(cfg)
		n.assigned(1)
		var got [][2]int
		for _, after := range []time.Duration{0, 50 * time.Second, 20 * time.Second, 3 * time.Minute, time.Minute} {
			time.Sleep(after)
			send()
			got = append(got, [2]int{runs.of(ids[0]), runs.of(ids[1])})
		}
		n.halt()
		if want := [][2]int{{1, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 2}}; !slices.Equal(got, want) {
			t.Errorf("runs of the minted and the chosen id %v, want %v", got, want)
		}
	})
}

// Only a finished task makes its next records duplicates: after a failure, a snooze or a panic the task runs again.
// Pitfall 22 of docs/pitfalls.md.
func TestRetryIsNoDuplicate(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		runs := newTally()
		mux := counting(t, runs, func(_ context.Context, tk *task.Task) error {
			switch runs.of(tk.ID) {
			case 1:
				return task.RetryAfter(10*time.Second, fmt.Errorf("no luck"))
			case 2:
				return task.Snooze(10 * time.Second)
			case 3:
				panic("no luck")
			}
			return nil
		})
		s.forward()
		cfg := c.of(s.config(mux))
		cfg.Queues[0].Retry.MaxAttempts = 5
		n := s.start(cfg)
		s.send("job", 1)
		if e := s.await(1)[0]; e.State != task.Succeeded || runs.of("job-0") != 4 {
			t.Errorf("it is %s after %d runs, want succeeded after 4", e.State, runs.of("job-0"))
		}
		n.halt()
	})
}

// The ID of a failed task is not blocked: its replay is a new generation and runs, and a second record of that
// generation is dropped as a duplicate. Pitfall 23 of docs/pitfalls.md.
func TestReplayOfAFailedTaskRunsOnce(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		runs := newTally()
		mux := counting(t, runs, func(ctx context.Context, tk *task.Task) error {
			if runs.of(tk.ID) == 1 {
				return task.Permanent(fmt.Errorf("no luck"))
			}
			return nil
		})
		n := s.start(c.of(s.config(mux)))
		s.send("job", 1)
		s.await(1)
		replay := func() {
			s.raw(record.Move(s.letters()[0], names.Pending("tasks"), nil, record.Stamp{Generation: 1, Turn: 1, Attempt: 1}))
		}
		replay()
		if e := s.await(2)[1]; e.State != task.Succeeded || e.Task.Generation != 1 {
			t.Errorf("its replay is %s", e.State)
		}
		replay() // the same wish
		s.all()
		n.halt()
		if got := runs.of("job-0"); got != 2 {
			t.Errorf("it ran %d times, want 2", got)
		}
	})
}
