package claim

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/task"
)

// A registry says who lives. It stands in for etcd; a session is alive unless it is said to be gone.
type registry struct {
	mu    sync.Mutex
	gone  map[string]bool
	err   error
	asked int
}

func (r *registry) leave(session string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone == nil {
		r.gone = make(map[string]bool)
	}
	r.gone[session] = true
}

func (r *registry) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *registry) alive(session string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	return !r.gone[session], r.err
}

// A place is a process's place in the registry.
type place struct {
	*registry
	mu      sync.Mutex
	current *lease.Lease
	changed chan struct{} // closed at every change of current
}

// trusted opens a session of that name.
func (p *place) trusted(session string) *lease.Lease {
	l := lease.New(session)
	l.Trust(time.Now().Add(time.Hour))
	p.set(l)
	return l
}

func (p *place) set(l *lease.Lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = l
	close(p.changed)
	p.changed = make(chan struct{})
}

// lost ends the session; the others know.
func (p *place) lost() {
	l := p.Lease()
	p.set(nil)
	l.End()
	p.leave(l.ID())
}

func (p *place) Lease() *lease.Lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open()
}

// open is the current session, unless that is over. p.mu is held.
func (p *place) open() *lease.Lease {
	if p.current == nil || p.current.Context().Err() != nil {
		return nil
	}
	return p.current
}

func (p *place) Wait(ctx context.Context) (*lease.Lease, error) {
	for {
		p.mu.Lock()
		current, changed := p.open(), p.changed
		p.mu.Unlock()
		if current != nil {
			return current, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (p *place) Alive(_ context.Context, session string) (bool, error) { return p.alive(session) }

// A node is a book at work. Verdicts go to the hold's channel; see hold.
type node struct {
	*Book
	*place
	t         testing.TB
	interrupt chan interruption
	stop      func() // ends the book's Run, and waits for that
	giveUp    func() // makes it answer without Redis
}

type interruption struct {
	hold  *Hold
	cause error
}

// start starts a node, whose session is called so, on the store.
func start(t testing.TB, s *Store, r *registry, session string, settings ...func(*Config)) *node {
	t.Helper()
	n := &node{
		t: t, place: &place{registry: r, changed: make(chan struct{})}, interrupt: make(chan interruption, 10_000),
	}
	n.trusted(session)
	cfg := Config{
		Store: s, Members: n.place,
		Decided: func(list []Decision) {
			for _, d := range list {
				d.Hold.Of.(chan Verdict) <- d.Verdict
			}
		},
		Interrupt: func(h *Hold, cause error) { n.interrupt <- interruption{h, cause} },
	}
	for _, set := range settings {
		set(&cfg)
	}
	var err error
	if n.Book, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	patient, giveUp := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := n.Run(ctx, patient); err != nil {
			t.Error(err)
		}
	}()
	n.giveUp = giveUp
	n.stop = func() {
		cancel()
		await(t, ended)
	}
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the book has not ended")
		}
		giveUp()
		if l := n.Lease(); l != nil {
			l.End()
		}
	})
	return n
}

// await waits for what must come.
func await[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// none says that nothing has come.
func none[T any](t testing.TB, c <-chan T) {
	t.Helper()
	select {
	case v := <-c:
		t.Errorf("%v came", v)
	default:
	}
}

// hold makes a hold for the turn (g,n) of the task named id.
func hold(id string, g, n, attempt int) *Hold {
	return &Hold{
		Task: &task.Task{Queue: "q", Source: "s", ID: id, Type: "mail send", Generation: g, Turn: n, Attempt: attempt},
		Of:   make(chan Verdict, 4),
	}
}

// begin begins a hold and waits for the verdict.
func (n *node) begin(h *Hold) Verdict {
	n.t.Helper()
	n.Begin(h)
	return n.verdict(h)
}

func (n *node) verdict(h *Hold) Verdict {
	n.t.Helper()
	return await(n.t, h.Of.(chan Verdict))
}

// won begins a hold that must win.
func (n *node) won(h *Hold) *Hold {
	n.t.Helper()
	if v := n.begin(h); v != Run {
		n.t.Fatalf("verdict %s, want run", v)
	}
	return h
}

// finish ends a hold's run and waits for the answer.
func (n *node) finish(h *Hold, o Outcome) Result {
	n.t.Helper()
	return n.answer(func(done func(Result)) { n.Finish(h, o, done) })
}

func (n *node) release(h *Hold) Result {
	n.t.Helper()
	return n.answer(func(done func(Result)) { n.Release(h, done) })
}

func (n *node) answer(ask func(done func(Result))) Result {
	n.t.Helper()
	answer := make(chan Result, 2)
	ask(func(r Result) { answer <- r })
	r := await(n.t, answer)
	none(n.t, answer)
	return r
}

func (r Result) String() string { return [...]string{"written", "lost"}[r] }
