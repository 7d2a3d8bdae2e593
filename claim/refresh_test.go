package claim

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// farOff is later than any run began: all are refreshed.
const farOff = 1 << 62

// refreshed refreshes all runs and waits until Redis has answered.
func (n *node) refreshed() {
	n.t.Helper()
	n.refreshOlder(farOff)
	n.finish(n.won(hold(fmt.Sprint("behind it ", time.Now().UnixNano()), 0, 1, 1)), Outcome{State: Succeeded})
	n.finish(n.won(hold(fmt.Sprint("behind it ", time.Now().UnixNano()), 0, 1, 1)), Outcome{State: Succeeded})
}

func TestRefreshKeepsClaims(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		node := start(t, s, &registry{}, me)
		running, dying, young := node.won(hold("running", 0, 1, 1)), node.won(hold("dying", 0, 1, 1)), hold("young", 0, 1, 1)
		mustWrite(t, node.finish(dying, Outcome{State: Dying}))
		<-time.After(2 * time.Millisecond)
		old := time.Now().UnixMilli() - 1
		node.won(young)
		for _, h := range []*Hold{running, dying, young} {
			if !about(kept(t, s, h.identity()), atWork) {
				t.Errorf("%s: it is kept for %v, want %v", h.Task.ID, kept(t, s, h.identity()), atWork)
			}
			must(t, s.client.PExpire(t.Context(), h.name, time.Minute).Err())
		}
		node.refreshOlder(old)
		for _, h := range []*Hold{running, dying} {
			eventually(t, h.Task.ID+" is refreshed", func() bool { return about(kept(t, s, h.identity()), atWork) })
		}
		if kept(t, s, young.identity()) > time.Minute {
			t.Error("the young one is refreshed already")
		}
		for _, h := range []*Hold{running, dying, young} {
			if text, _ := stored(t, s, h); text != h.claim().String() {
				t.Errorf("%s: %q became %q", h.Task.ID, h.claim(), text)
			}
		}
		none(t, node.interrupt)
	})
}

func TestRefreshSees(t *testing.T) {
	canceled := func(c Claim) Claim { return c.with(CancelAsked) }
	for _, c := range []struct {
		name      string
		found     func(Claim) Claim
		untrusted bool
		cause     error // the run is interrupted
		anew      bool  // the claim is written anew
	}{
		{name: "its own", found: ours},
		{name: "its own, session over", found: ours, untrusted: true},
		{name: "a cancellation whose message was lost", found: canceled, cause: ErrCanceled},
		{name: "a cancellation, session over", found: canceled, untrusted: true, cause: ErrCanceled},
		{name: "gone back before a retry in place", found: func(c Claim) Claim { c.Attempt--; return c }, anew: true},
		{name: "missing", found: foreign(0, 0, 0), anew: true},
		{name: "missing, session over", found: foreign(0, 0, 0), untrusted: true, cause: ErrTakenOver},
		{name: "gone back to a turn before", found: foreign(Retrying, g, n-1), anew: true},
		{name: "gone back to a turn before, session over", found: foreign(Retrying, g, n-1), untrusted: true, cause: ErrTakenOver},
		{name: "gone back before the begin", found: foreign(Pending, g, n), anew: true},
		{name: "taken over", found: func(c Claim) Claim { c.Owner, c.Fence = other, c.Fence+1; return c }, cause: ErrTakenOver},
		{name: "taken over and finished", found: foreign(Succeeded, g, n), cause: ErrTakenOver},
		{name: "taken over, in the next turn", found: foreign(Running, g, n+1), cause: ErrTakenOver},
		{name: "canceled for all generations", found: foreign(Canceled, AllGenerations, 1), cause: ErrTakenOver},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := onMiniredis(t)
			node := start(t, s, &registry{}, me)
			h := node.won(hold("task", g, n, tries))
			have := h.claim()
			was, found := "", c.found(have)
			if found.State != 0 {
				was = found.String()
			}
			put(t, s, h, was)
			if c.untrusted {
				h.lease.End()
				node.trusted("me-2")
			}
			node.refreshed()
			if c.cause != nil {
				if i := await(t, node.interrupt); i.hold != h || !errors.Is(i.cause, c.cause) {
					t.Errorf("interrupted: %v, want %v", i.cause, c.cause)
				}
			}
			none(t, node.interrupt)
			want := was
			if c.anew {
				want = have.String()
				eventually(t, "the claim is written anew", func() bool { text, _ := stored(t, s, h); return text == want })
			}
			if text, _ := stored(t, s, h); text != want {
				t.Errorf("%q became %q, want %q", was, text, want)
			}
			if h.Canceled() != (c.cause == ErrCanceled) {
				t.Errorf("canceled: %v", h.Canceled())
			}
			// A wish that has been told is not told again.
			node.refreshed()
			if c.cause != ErrTakenOver {
				none(t, node.interrupt)
			}
		})
	}
}

func TestRefreshLeavesUnknownFormats(t *testing.T) {
	s := onMiniredis(t)
	node := start(t, s, &registry{}, me)
	h := node.won(hold("task", 0, 1, 1))
	put(t, s, h, "2x whatever")
	node.refreshed()
	none(t, node.interrupt)
	if text, err := s.get(t.Context(), h.key); err != nil || text != "2x whatever" {
		t.Errorf("%q, %v", text, err)
	}
	if r := node.finish(h, Outcome{State: Succeeded}); r != Lost {
		t.Errorf("%s, want lost", r)
	}
}

// A run may end while it is being refreshed: both are in one batch then, in any order, and the end stands.
func TestOneClaimTwiceInABatch(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		running, ended := at(Running, g, n).String(), at(Succeeded, g, n).String()
		for i, order := range [][]string{{running, ended}, {ended, running}, {running, ended, running}, {ended, ended, running}} {
			h := hold(fmt.Sprint(i), g, n, tries)
			put(t, s, h, running)
			var ops []*op
			for _, write := range order {
				o := &op{key: h.identity().Key(), name: h.identity().Key().text(s.prefix), expect: running, write: write, keep: time.Hour, beside: true}
				if write == ended {
					o.field = counterField("q", fmt.Sprint(i), "succeeded")
				}
				ops = append(ops, o)
			}
			must(t, s.swap(t.Context(), ops))
			if text, _ := stored(t, s, h); text != ended {
				t.Errorf("%q: the claim is %q", order, text)
			}
			over := false
			for _, o := range ops {
				if o.applied != (!over || o.write == ended) {
					t.Errorf("%q: %q is applied: %v", order, o.write, o.applied)
				}
				if over = over || o.write == ended; !o.applied && o.found != ended {
					t.Errorf("%q: found %q", order, o.found)
				}
			}
		}
		counted(t, s, map[string]int64{"succeeded": 4})
	})
}

// The same as a node does it: the round looks at a run, which then ends, before the round asks.
func TestRefreshThatIsLate(t *testing.T) {
	s := onMiniredis(t)
	closed := gate{make(chan struct{})}
	node := start(t, s, &registry{}, me)
	const id = "01890a5d-ac96-774b-bcce-b302099a8057" // kept for an hour
	alone, running := hold(id, 0, 1, 1), hold(id[:35]+"8", 0, 1, 1)
	var late []*op
	for _, h := range []*Hold{alone, running} {
		node.won(h)
		mustWrite(t, node.answer(func(done func(Result)) { node.Alone(h, done) }))
		h.mu.Lock()
		if h == alone {
			h.have.Flags &^= Alone // as notAlone does
		}
		late = append(late, node.freshOp(h, h.text))
		h.mu.Unlock()
	}
	var busy []<-chan Result // keep both calls in flight, so that the next ones go together
	fillers := [inFlight]*Hold{}
	for i := range fillers {
		fillers[i] = node.won(hold(fmt.Sprint("busy", i), 0, 1, 1))
	}
	s.client.AddHook(closed)
	for i, h := range fillers {
		busy = append(busy, succeed(node, h))
		eventually(t, "the call is in flight", func() bool {
			node.swaps.mu.Lock()
			defer node.swaps.mu.Unlock()
			return node.swaps.out == i+1
		})
	}
	busy = append(busy, succeed(node, alone), succeed(node, running))
	node.swaps.add(late...)
	close(closed.open)
	for _, answer := range busy {
		mustWrite(t, await(t, answer))
	}
	node.stop()
	for _, h := range []*Hold{alone, running} {
		if _, c := stored(t, s, h); c.State != Succeeded {
			t.Errorf("the claim is %q", c)
		}
		if d := kept(t, s, h.identity()); d < time.Hour-patience || d > time.Hour+quick {
			t.Errorf("it is kept for %v, want an hour, and a minute at most beyond", d)
		}
	}
}

// A wish to cancel that arrives while the run asks something of its own interrupts it all the same.
func TestCancelDuringAQuestion(t *testing.T) {
	for name, ask := range map[string]func(n *node, h *Hold, done func(Result)){
		"alone":   func(n *node, h *Hold, done func(Result)) { n.Alone(h, done) },
		"retried": func(n *node, h *Hold, done func(Result)) { n.Retried(h, 2, done) },
	} {
		t.Run(name, func(t *testing.T) {
			s := onMiniredis(t)
			node := start(t, s, &registry{}, me)
			h := node.won(hold("task", 0, 1, 1))
			put(t, s, h, h.claim().with(CancelAsked).String()) // the message comes too early: see cancelAsked
			mustWrite(t, node.answer(func(done func(Result)) { ask(node, h, done) }))
			if i := await(t, node.interrupt); i.hold != h || i.cause != ErrCanceled || !h.Canceled() {
				t.Errorf("%v, canceled: %v", i.cause, h.Canceled())
			}
			mustWrite(t, node.finish(h, Outcome{State: Retrying, Due: time.Now()}))
			if _, c := stored(t, s, h); c.State != Canceled {
				t.Errorf("it ends as %q", c)
			}
		})
	}
}

// A process that goes on when its session is over takes back that the task is to blame.
func TestNotAloneWhenTheSessionEnds(t *testing.T) {
	for _, asked := range []bool{false, true} {
		t.Run(fmt.Sprintf("canceled %v", asked), func(t *testing.T) {
			s := onMiniredis(t)
			var registry registry
			a, b := start(t, s, &registry, me), start(t, NewStore(s.client, s.prefix), &registry, other)
			h := hold("innocent", 0, 1, 1)
			put(t, s, h, at(Retrying, 0, 1).crashed(2).String())
			if a.won(h); !a.LastRun(h) {
				t.Fatal("it is not the last run")
			}
			mustWrite(t, a.answer(func(done func(Result)) { a.Alone(h, done) }))
			if asked {
				put(t, s, h, h.claim().with(CancelAsked).String())
			}
			a.lost()
			eventually(t, "it is forgiven", func() bool { _, c := stored(t, s, h); return c.Flags&Alone == 0 })
			if _, c := stored(t, s, h); c.State != Running || c.Owner != me || (c.Flags&CancelAsked != 0) != asked {
				t.Errorf("the claim is %q", c)
			}
			want := map[bool]Verdict{false: Run, true: Done}[asked]
			if v := b.begin(hold("innocent", 0, 1, 1)); v != want {
				t.Errorf("%s, want %s", v, want)
			}
		})
	}
	t.Run("the process stops", func(t *testing.T) {
		s := onMiniredis(t)
		node := start(t, s, &registry{}, me)
		h := hold("left to die", 0, 1, 1)
		put(t, s, h, at(Retrying, 0, 1).crashed(2).String())
		node.won(h)
		mustWrite(t, node.answer(func(done func(Result)) { node.Alone(h, done) }))
		node.stop()
		if _, c := stored(t, s, h); c.State != Running || c.Flags&Alone != 0 {
			t.Errorf("the claim is %q", c)
		}
	})
}

// The round that nobody asks for: within two periods a lost message is made up for, and a claim that expired is there.
func TestRefreshGoesRoundByItself(t *testing.T) {
	t.Parallel()
	s := onMiniredis(t)
	node := start(t, s, &registry{}, me)
	canceled, missing := node.won(hold("canceled", 0, 1, 1)), node.won(hold("missing", 0, 1, 1))
	put(t, s, canceled, canceled.claim().with(CancelAsked).String())
	put(t, s, missing, "")
	if i := await(t, node.interrupt); i.hold != canceled || i.cause != ErrCanceled {
		t.Errorf("%v of %s", i.cause, i.hold.Task.ID)
	}
	eventually(t, "the claim is written anew", func() bool { text, _ := stored(t, s, missing); return text != "" })
}
