package claim

import (
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/internal/testenv"
)

func proceed(c *Config) { c.Proceed = true }

func succeed(n *node, h *Hold) <-chan Result {
	answer := make(chan Result, 2)
	n.Finish(h, Outcome{State: Succeeded}, func(r Result) { answer <- r })
	return answer
}

// While Redis is away what asks waits; when it is back everything is answered, and done once.
func TestWaitForRedis(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	s := NewStore(single(t, server.Addr()), testenv.Unique(t))
	node := start(t, s, &registry{}, me)
	const many = 700 // more than a call takes
	var running, waiting []*Hold
	for i := range many {
		running = append(running, hold(fmt.Sprint("running", i), 0, 1, 1))
		waiting = append(waiting, hold(fmt.Sprint("waiting", i), 0, 1, 1))
	}
	node.Begin(running...)
	for _, h := range running {
		if v := node.verdict(h); v != Run {
			t.Fatal(v)
		}
	}
	must(t, server.Kill())
	node.Begin(waiting...)
	var answers []<-chan Result
	for _, h := range running {
		answers = append(answers, succeed(node, h))
	}
	eventually(t, "Redis counts as away", node.Away)
	for i := range many {
		none(t, waiting[i].Of.(chan Verdict))
		none(t, answers[i])
	}
	must(t, server.Start())
	for i, h := range waiting {
		if v := node.verdict(h); v != Run {
			t.Errorf("%s: %s, want run", h.Task.ID, v)
		}
		mustWrite(t, await(t, answers[i]))
	}
	for i := range many {
		if _, c := stored(t, s, running[i]); c.State != Succeeded {
			t.Errorf("%s: %q", running[i].Task.ID, c)
		}
		if _, c := stored(t, s, waiting[i]); c.State != Running || c.Fence != waiting[i].Fence() {
			t.Errorf("%s: %q", waiting[i].Task.ID, c)
		}
	}
	if node.Away() {
		t.Error("Redis still counts as away")
	}
	counted(t, s, map[string]int64{"succeeded": many})
}

// A book that is closed while Redis is away waits for it, until it is told to give up: then all is answered.
func TestCloseWithoutRedis(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	s := NewStore(single(t, server.Addr()), testenv.Unique(t))
	node := start(t, s, &registry{}, me)
	h := node.won(hold("running", 0, 1, 1))
	must(t, server.Kill())
	result, late := succeed(node, h), hold("late", 0, 1, 1)
	node.Begin(late)
	eventually(t, "Redis counts as away", node.Away)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		node.stop()
	}()
	none(t, ended)
	none(t, result)
	node.giveUp()
	await(t, ended)
	if v := node.verdict(late); v != Again {
		t.Errorf("%s, want again", v)
	}
	if r := await(t, result); r != Lost {
		t.Errorf("%s, want lost", r)
	}
}

// A run that nobody asks anything for is refreshed again when Redis is back.
func TestRedisIsFoundBackWithoutATask(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	s := NewStore(single(t, server.Addr()), testenv.Unique(t))
	node := start(t, s, &registry{}, me)
	h := node.won(hold("long", 0, 1, 1))
	must(t, server.Kill())
	node.Progress(h, Details{Progress: 0.5})
	eventually(t, "Redis counts as away", node.Away)
	must(t, server.Start())
	eventually(t, "Redis is found back", func() bool { return !node.Away() })
	put(t, s, h, h.claim().with(CancelAsked).String())
	node.refreshOlder(1 << 62)
	if i := await(t, node.interrupt); i.cause != ErrCanceled {
		t.Error(i.cause)
	}
}

// To proceed is to run without claims while Redis is away, and with them as soon as it is back.
func TestProceedWithoutRedis(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	s := NewStore(single(t, server.Addr()), testenv.Unique(t))
	node := start(t, s, &registry{}, me, proceed)
	before := node.won(hold("before", 0, 1, 1))
	must(t, server.Kill())
	for i := range 3 {
		h := node.won(hold(fmt.Sprint("away", i), 0, 1, 1))
		if h.Fence() <= before.Fence() || h.Attempt() != 1 || !h.Won() {
			t.Errorf("fence %d, attempt %d", h.Fence(), h.Attempt())
		}
		mustWrite(t, node.answer(func(done func(Result)) { node.Retried(h, 2, done) }))
		mustWrite(t, node.finish(h, Outcome{State: Retrying, Due: time.Now()}))
	}
	dying := node.won(hold("dying", 0, 1, 1))
	mustWrite(t, node.finish(dying, Outcome{State: Dying}))
	across, redelivered := node.won(hold("across", 0, 1, 1)), node.won(hold("redelivered", 0, 1, 1))
	mustWrite(t, node.finish(redelivered, Outcome{State: Succeeded}))

	must(t, server.Start())
	eventually(t, "Redis is found back", func() bool { return !node.Away() })
	for _, h := range []*Hold{before, across} {
		mustWrite(t, node.finish(h, Outcome{State: Succeeded}))
		if _, c := stored(t, s, h); c.State != Succeeded || c.Fence != h.Fence() {
			t.Errorf("%s: %q", h.Task.ID, c)
		}
	}
	mustWrite(t, node.finish(dying, Outcome{State: Dead}))
	if _, c := stored(t, s, dying); c.State != Dead {
		t.Errorf("the claim is %q", c)
	}
	after := node.won(hold("after", 0, 1, 1))
	if _, c := stored(t, s, after); c.State != Running {
		t.Errorf("the claim is %q: it runs without", c)
	}
	if v := node.begin(hold("across", 0, 1, 1)); v != Done {
		t.Errorf("%s, want done", v)
	}
	// Of what ended meanwhile nothing is known: at least once.
	node.won(hold("redelivered", 0, 1, 1))
}

// A begin that was applied as Redis went away is the run's claim, when it is back.
func TestProceedKeepsWhatWasApplied(t *testing.T) {
	t.Parallel()
	onEachLossy(t, func(t *testing.T, s *Store, l *losses) {
		node := start(t, s, &registry{}, me, proceed)
		for _, c := range []struct {
			name  string
			found Claim
		}{{name: "none"}, {"retrying", at(Retrying, g, n)}, {"replayed", at(Dead, g-1, n)}} {
			h := hold(c.name, g, n, tries)
			if c.found.State != 0 {
				put(t, s, h, c.found.String())
			}
			l.other.Store(c.found.State != 0) // then it is the second call that is lost
			l.lose(1, nil)
			if c.found.State != 0 {
				l.odd.Store(true)
			}
			node.won(h)
			if _, got := stored(t, s, h); got.State != Running || got.Fence != h.Fence() {
				t.Errorf("%s: %q, the hold's fence is %d", c.name, got, h.Fence())
			}
			eventually(t, "Redis is found back", func() bool { return !node.Away() })
			mustWrite(t, node.finish(h, Outcome{State: Succeeded}))
			if _, got := stored(t, s, h); got.State != Succeeded {
				t.Errorf("%s: %q", c.name, got)
			}
		}
	})
}

// Without trust nothing is written where there is no claim, also not of a run that proceeded without.
func TestProceedIsNoTrust(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	s := NewStore(single(t, m.Addr()), testenv.Unique(t))
	node := start(t, s, &registry{}, me, proceed)
	m.SetError("it is away")
	h, refreshed := node.won(hold("zombie", 0, 1, 1)), node.won(hold("refreshed", 0, 1, 1))
	m.SetError("")
	eventually(t, "Redis is found back", func() bool { return !node.Away() })
	node.refreshOlder(0)
	node.lost()
	node.refreshOlder(1 << 62)
	await(t, node.interrupt)
	if text, _ := stored(t, s, refreshed); text != "" {
		t.Errorf("the refresh wrote %q", text)
	}
	if r := node.finish(h, Outcome{State: Succeeded}); r != Lost {
		t.Errorf("%s, want lost", r)
	}
	if text, _ := stored(t, s, h); text != "" {
		t.Errorf("the result wrote %q", text)
	}
}

// Where Redis hangs instead of refusing, the patience of one call is all that anybody waits for.
func TestProceedPastAHang(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	client := redis.NewClient(&redis.Options{
		Addr: server.Addr(), MaxRetries: -1, DialerRetries: 1, ReadTimeout: 300 * time.Millisecond, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { _ = client.Close() })
	s := NewStore(client, testenv.Unique(t))
	node := start(t, s, &registry{}, me, proceed)
	node.won(hold("before", 0, 1, 1))
	must(t, server.Pause())
	defer func() { must(t, server.Resume()) }()
	holds := make([]*Hold, 10*maxBatch)
	for i := range holds {
		holds[i] = hold(fmt.Sprint(i), 0, 1, 1)
	}
	calls := s.Calls()
	node.Begin(holds...)
	for _, h := range holds {
		if v := node.verdict(h); v != Run {
			t.Fatal(v)
		}
	}
	if calls = s.Calls() - calls; calls > inFlight {
		t.Errorf("%d calls were tried", calls)
	}
}

// Redis comes back empty in the middle of everything: what runs is written anew, by those who are trusted.
func TestFlushed(t *testing.T) {
	server := testenv.StartRedis(t)
	s := NewStore(single(t, server.Addr()), testenv.Unique(t))
	var registry registry
	a, b := start(t, s, &registry, me), start(t, NewStore(s.client, s.prefix), &registry, other)
	flush := func() { must(t, s.client.FlushAll(t.Context()).Err()) }

	finished, retried, dying, both, zombie := hold("finished", 0, 1, 1), hold("retried", 0, 1, 1), hold("dying", 0, 1, 1), hold("both", 0, 1, 1), hold("zombie", 0, 1, 1)
	for _, h := range []*Hold{finished, retried, dying, both} {
		a.won(h)
	}
	b.won(zombie)
	mustWrite(t, a.finish(dying, Outcome{State: Dying}))
	flush()
	a.refreshOlder(0) // too young to be refreshed
	mustWrite(t, a.finish(finished, Outcome{State: Succeeded}))
	mustWrite(t, a.finish(retried, Outcome{State: Retrying, Due: time.Now()}))
	mustWrite(t, a.finish(dying, Outcome{State: Dead}))
	for h, want := range map[*Hold]State{finished: Succeeded, retried: Retrying, dying: Dead} {
		if _, c := stored(t, s, h); c.State != want {
			t.Errorf("%s: %q", h.Task.ID, c)
		}
	}
	// A record that comes again finds nothing: it runs, at least once. Only one of the two can tell its end.
	theirs := b.won(hold("both", 0, 1, 1))
	if r := a.finish(both, Outcome{State: Succeeded}); r != Lost {
		t.Errorf("%s, want lost", r)
	}
	mustWrite(t, b.finish(theirs, Outcome{State: Succeeded}))
	if v := a.begin(both); v != Done {
		t.Errorf("%s, want done", v)
	}
	b.lost()
	if r := b.finish(zombie, Outcome{State: Succeeded}); r != Lost {
		t.Errorf("without trust: %s, want lost", r)
	}

	// All goes on, whatever is flushed when.
	for i := range 200 {
		h := a.won(hold(fmt.Sprint(i), 0, 1, 1))
		if i%2 == 0 {
			flush()
		}
		mustWrite(t, a.finish(h, Outcome{State: Succeeded}))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
