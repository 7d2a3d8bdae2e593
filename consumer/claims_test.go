package consumer_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
)

// quiet is what go-redis may say of lines that are cut.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(quiet{}) }

// A registry is who lives, without etcd: the sessions that were opened and have not ended.
type registry struct {
	mu     sync.Mutex
	alive  map[string]bool
	opened int
	silent bool // it answers no question
}

func (r *registry) set(session string, alive bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alive[session] = alive
}

func (r *registry) Alive(ctx context.Context, session string) (bool, error) {
	r.mu.Lock()
	silent, alive := r.silent, r.alive[session]
	r.mu.Unlock()
	if silent {
		<-ctx.Done()
		return false, ctx.Err()
	}
	return alive, nil
}

// mute lets the registry answer no question.
func (r *registry) mute() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silent = true
}

// A member is a process in the registry, with one session after the other.
type member struct {
	*registry
	current *lease.Lease
	changed chan struct{}
}

func (r *registry) join() *member {
	m := &member{registry: r, changed: make(chan struct{})}
	m.open()
	return m
}

// open gives the process a new session.
func (m *member) open() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened++
	l := lease.New(fmt.Sprintf("session-%d", m.opened))
	l.Trust(time.Now().Add(1000 * time.Hour))
	m.current, m.alive[l.ID()] = l, true
	close(m.changed)
	m.changed = make(chan struct{})
	return l.ID()
}

// distrust ends the process's session for itself, if it has one; the others don't know yet.
func (m *member) distrust() (session string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current != nil {
		session = m.current.ID()
		m.current.End()
		m.current = nil
	}
	return session
}

// lose ends the process's session.
func (m *member) lose() {
	m.set(m.distrust(), false)
}

func (m *member) Lease() *lease.Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current
}

func (m *member) Wait(ctx context.Context) (*lease.Lease, error) {
	for {
		m.mu.Lock()
		l, changed := m.current, m.changed
		m.mu.Unlock()
		if l != nil {
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Claims of a stage: a Redis in memory, whose clock is the bubble's, a way to it that can be cut, and a process in the
// registry.
type claims struct {
	*member
	t     *testing.T
	redis *memory
	line  *line
	store *claim.Store
}

func newClaims(t *testing.T) *claims {
	t.Helper()
	r := &registry{alive: map[string]bool{}}
	c := &claims{member: r.join(), t: t, redis: newMemory()}
	c.redis.ClockTTL(true)
	t.Cleanup(func() {
		c.redis.Close()
		time.Sleep(time.Second) // go-redis sleeps a little after an error before it looks whether it was closed
	})
	c.line = &line{dial: func(context.Context, string, string) (net.Conn, error) { return c.redis.Dial() }}
	c.store = claim.NewStore(c.dial(c.line), "tasktier")
	return c
}

// dial returns a client that reaches Redis over a line.
func (c *claims) dial(l *line) *redis.Client {
	client := redis.NewClient(&redis.Options{
		Addr:   "127.0.0.1:0", // go-redis looks a name up, which a bubble can't
		Dialer: l.Dial, MaxRetries: -1, ContextTimeoutEnabled: true, DialerRetries: 1,
	})
	c.t.Cleanup(func() { client.Close() })
	return client
}

// of adds the claims to a configuration.
func (c *claims) of(cfg consumer.Config) consumer.Config {
	cfg.Claims, cfg.Members = c.store, c.member
	return cfg
}

func identity(id string) claim.Identity {
	return claim.Identity{Queue: "tasks", Source: "/test", ID: id}
}

// key is the name of a task's claim in Redis.
func key(id string) string {
	k := identity(id).Key()
	return fmt.Sprintf("tasktier:{%x}:%s", k[0]%16, base64.RawURLEncoding.EncodeToString(k[:]))
}

// put writes a claim.
func (c *claims) put(id string, text claim.Claim) {
	c.t.Helper()
	if err := c.redis.Set(key(id), text.String()); err != nil {
		c.t.Fatal(err)
	}
}

// of a task returns its claim; of State 0 if there is none.
func (c *claims) look(id string) claim.Claim {
	c.t.Helper()
	text, _ := c.redis.Get(key(id))
	if text == "" {
		return claim.Claim{}
	}
	found, err := claim.Parse(text)
	if err != nil {
		c.t.Errorf("claim %q of %s: %v", text, id, err)
	}
	return found
}

// details of a task, zero if there are none.
func (c *claims) details(id string) claim.Details {
	c.t.Helper()
	d, err := c.store.Details(c.t.Context(), identity(id))
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
