package claim

import (
	"errors"
	"testing"
	"time"
)

// The record that begins in every row, and its claim's owner, or whoever else has the task.
const (
	g, n, tries = 1, 3, 4
	me, other   = "me", "other"
)

// A cell of the verdict table: what is found, and what follows.
type cell struct {
	name    string
	found   Claim // State 0: none
	gone    bool  // the owner is
	limit   int   // of crashes; 0: 3
	verdict Verdict
	next    Claim // what Redis shows then, but for fence and time; State 0: what was found
}

func mine(c Claim) Claim   { c.Owner = me; return c }
func others(c Claim) Claim { c.Owner = other; return c }

// at is a claim that speaks of (generation, turn).
func at(s State, generation, turn int) Claim {
	return Claim{State: s, Generation: generation, Turn: turn, Attempt: 2, Owner: other, Fence: 700, At: 5, Type: "mail send"}
}

func (c Claim) crashed(n int) Claim     { c.Crashes = n; return c }
func (c Claim) with(f Flags) Claim      { c.Flags |= f; return c }
func (c Claim) tried(attempt int) Claim { c.Attempt = attempt; return c }

// ran is the claim by which the record runs.
func ran(crashes int) Claim { return mine(at(Running, g, n)).tried(tries).crashed(crashes) }

var table = []cell{
	{name: "none", verdict: Run, next: ran(0)},

	{name: "succeeded", found: at(Succeeded, g, n), verdict: Done},
	{name: "succeeded in an earlier turn", found: at(Succeeded, g, 1), verdict: Done},
	{name: "succeeded in a later turn", found: at(Succeeded, g, 9), verdict: Done},
	{name: "dead", found: at(Dead, g, n), verdict: Done},
	{name: "canceled", found: at(Canceled, g, 1), verdict: Done},
	{name: "succeeded, mine", found: mine(at(Succeeded, g, n)), verdict: Done},
	{name: "succeeded in a later generation", found: at(Succeeded, g+1, 1), verdict: Done},
	{name: "dead in a later generation", found: at(Dead, g+1, 1), verdict: Done},
	{name: "canceled before it ran", found: Claim{State: Canceled, Generation: AllGenerations, Turn: 1, Attempt: 1, At: 5}, verdict: Done},

	{name: "replay of a success", found: at(Succeeded, g-1, 9).crashed(2), verdict: Run, next: ran(0)},
	{name: "replay of a death", found: at(Dead, g-1, 9).crashed(3), verdict: Run, next: ran(0)},
	{name: "replay of what was canceled", found: at(Canceled, g-1, 9), verdict: Run, next: ran(0)},
	{name: "replay of a task once taken over", found: at(Dead, g-1, 9).with(TakenOver), verdict: Run, next: ran(0).with(TakenOver)},
	{name: "replay while dying, owner lives", found: at(Dying, g-1, 9).crashed(3), verdict: Run, next: ran(0)},
	{name: "replay while dying, owner gone", found: at(Dying, g-1, 9).crashed(3), gone: true, verdict: Run, next: ran(0)},
	{name: "replay while dying, mine", found: mine(at(Dying, g-1, 9)), verdict: Run, next: ran(0)},

	{name: "pending, older generation", found: at(Pending, g-1, 9).crashed(1), verdict: Run, next: ran(0)},
	{name: "pending, older turn", found: at(Pending, g, n-1).tried(9), verdict: Run, next: ran(0)},
	{name: "pending at this turn", found: at(Pending, g, n).crashed(1).with(TakenOver), verdict: Run, next: ran(1).with(TakenOver)},
	{name: "pending, tried in place before", found: at(Pending, g, n).tried(6), verdict: Run, next: ran(0).tried(6)},
	{name: "pending, never begun", found: Claim{State: Pending, Generation: g, Turn: 1, Attempt: 1, Flags: Delayed, At: 5}, verdict: Run, next: ran(0)},
	{name: "retrying, older generation", found: at(Retrying, g-1, 9), verdict: Run, next: ran(0)},
	{name: "retrying, older turn", found: at(Retrying, g, n-1), verdict: Run, next: ran(0)},
	{name: "retrying at this turn, owner gone", found: at(Retrying, g, n).crashed(2), gone: true, verdict: Run, next: ran(2)},

	{name: "pending, later turn", found: at(Pending, g, n+1), verdict: Stale},
	{name: "pending, later generation", found: at(Pending, g+1, 1), verdict: Stale},
	{name: "retrying, later turn", found: at(Retrying, g, n+1), verdict: Stale},
	{name: "retrying, later generation", found: at(Retrying, g+1, 1), verdict: Stale},
	{name: "running, later turn, owner lives", found: at(Running, g, n+1), verdict: Stale},
	{name: "running, later turn, owner gone", found: at(Running, g, n+1), gone: true, verdict: Stale},
	{name: "running, later turn, mine", found: mine(at(Running, g, n+1)), verdict: Stale},
	{name: "running, later turn, to be canceled", found: at(Running, g, n+1).with(CancelAsked), gone: true, verdict: Stale},
	{name: "running, later generation", found: at(Running, g+1, 1), gone: true, verdict: Stale},
	{name: "dying, later generation", found: at(Dying, g+1, 1), verdict: Stale},
	{name: "dying, later generation, owner gone", found: at(Dying, g+1, 1), gone: true, verdict: Stale},
	{name: "dying, later generation, mine", found: mine(at(Dying, g+1, 1)), verdict: Stale},

	{name: "my begin, whose reply was lost", found: mine(at(Running, g, n)).crashed(1), verdict: Run, next: ran(1)},
	{name: "my earlier turn", found: mine(at(Running, g, n-1)), verdict: Run, next: ran(0)},
	{name: "my earlier generation", found: mine(at(Running, g-1, 9)), verdict: Run, next: ran(0)},
	{name: "mine, alone", found: mine(at(Running, g, n)).crashed(2).with(Alone | TakenOver), verdict: Run, next: ran(2).with(TakenOver)},
	{name: "mine, to be canceled", found: mine(at(Running, g, n)).with(CancelAsked), verdict: Done, next: mine(at(Canceled, g, n)).with(CancelAsked)},

	{name: "running, owner lives", found: at(Running, g, n), verdict: Held},
	{name: "running an earlier turn, owner lives", found: at(Running, g, n-1), verdict: Held},
	{name: "running an earlier generation, owner lives", found: at(Running, g-1, 9), verdict: Held},
	{name: "running, to be canceled, owner lives", found: at(Running, g, n).with(CancelAsked), verdict: Held},
	{name: "running its last run, owner lives", found: at(Running, g, n).crashed(2).with(Alone), verdict: Held},

	{name: "owner gone", found: at(Running, g, n), gone: true, verdict: Run, next: ran(1).with(TakenOver)},
	{name: "owner of an earlier turn gone", found: at(Running, g, n-1), gone: true, verdict: Run, next: ran(1).with(TakenOver)},
	{name: "owner of an earlier generation gone", found: at(Running, g-1, 9).crashed(2).with(Alone), gone: true, verdict: Run, next: ran(0).with(TakenOver)},
	{name: "owner of an earlier generation gone, to be canceled", found: at(Running, g-1, 9).with(CancelAsked), gone: true, verdict: Run, next: ran(0).with(TakenOver)},
	{name: "my earlier generation, to be canceled", found: mine(at(Running, g-1, 9)).with(CancelAsked), verdict: Run, next: ran(0)},
	{name: "owner gone, tried in place before", found: at(Running, g, n).tried(7), gone: true, verdict: Run, next: ran(1).tried(7).with(TakenOver)},
	{name: "owner gone, to be canceled", found: at(Running, g, n).with(CancelAsked), gone: true, verdict: Done, next: at(Canceled, g, n).with(CancelAsked | TakenOver)},
	{
		name: "owner gone, to be canceled, poison", found: at(Running, g, n).crashed(2).with(CancelAsked | Alone), gone: true,
		verdict: Done, next: at(Canceled, g, n).crashed(2).with(CancelAsked | Alone | TakenOver),
	},

	{name: "second crash", found: at(Running, g, n).crashed(1), gone: true, verdict: Run, next: ran(2).with(TakenOver)},
	{name: "third crash, not alone", found: at(Running, g, n).crashed(2), gone: true, verdict: Run, next: ran(2).with(TakenOver)},
	{name: "third crash, alone: poison", found: at(Running, g, n).crashed(2).with(Alone), gone: true, verdict: Bury, next: mine(at(Dying, g, n)).tried(tries).crashed(3).with(TakenOver)},
	{name: "first of one", found: at(Running, g, n), gone: true, limit: 1, verdict: Bury, next: mine(at(Dying, g, n)).tried(tries).crashed(1).with(TakenOver)},
	{name: "first of two, alone by chance", found: at(Running, g, n).with(Alone), gone: true, limit: 2, verdict: Run, next: ran(1).with(TakenOver)},
	{name: "second of two, not alone", found: at(Running, g, n).crashed(1), gone: true, limit: 2, verdict: Run, next: ran(1).with(TakenOver)},
	{name: "second of two, alone", found: at(Running, g, n).crashed(1).with(Alone), gone: true, limit: 2, verdict: Bury, next: mine(at(Dying, g, n)).tried(tries).crashed(2).with(TakenOver)},

	{name: "dying, owner lives", found: at(Dying, g, n), verdict: Held},
	{name: "dying, owner gone", found: at(Dying, g, n).crashed(3), gone: true, verdict: Bury, next: mine(at(Dying, g, n)).crashed(3)},
	{name: "dying, mine", found: mine(at(Dying, g, n)), verdict: Bury, next: mine(at(Dying, g, n))},
	{name: "dying in an earlier turn, owner gone", found: at(Dying, g, n-1), gone: true, verdict: Bury, next: mine(at(Dying, g, n-1))},
	{name: "dying in an earlier turn, owner lives", found: at(Dying, g, n-1), verdict: Held},
	{name: "dying in a later turn, owner gone", found: at(Dying, g, n+1), gone: true, verdict: Bury, next: mine(at(Dying, g, n+1))},
	{name: "dying in a later turn, owner lives", found: at(Dying, g, n+1), verdict: Held},
	{name: "dying in a later turn, mine", found: mine(at(Dying, g, n+1)), verdict: Bury, next: mine(at(Dying, g, n+1))},
}

// expects checks what became of the claim in this cell. clock bounds the new fence from below.
func (c cell) expects(t *testing.T, got Claim, clock int64) {
	t.Helper()
	want := c.next
	switch {
	case want.State == 0:
		if got != c.found {
			t.Errorf("the claim became %q, want it untouched: %q", got, c.found)
		}
		return
	case want.State == Canceled:
		if got.Fence != c.found.Fence {
			t.Errorf("fence %d, want that of the run that was canceled, %d", got.Fence, c.found.Fence)
		}
	default:
		if got.Fence <= c.found.Fence || got.Fence < clock {
			t.Errorf("fence %d, want more than %d and at least %d", got.Fence, c.found.Fence, clock)
		}
	}
	if got.At == c.found.At && got.State != Dying {
		t.Error("the time was not set")
	}
	got.Fence, got.At = want.Fence, want.At
	if got != want {
		t.Errorf("the claim became %q, want %q", got, want)
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range table {
		if c.found.State == 0 {
			continue // the script's
		}
		for _, clock := range []int64{17, 9000} { // behind the owner's, and before it
			b := bid{generation: g, turn: n, attempt: tries, typ: "mail send", me: me, clock: clock, now: time.UnixMilli(6), limit: c.limitOr(3)}
			v, next, write := judge(c.found, b, c.gone)
			t.Run(c.name, func(t *testing.T) {
				if v != c.verdict {
					t.Fatalf("%s, want %s", v, c.verdict)
				}
				if !write {
					next = c.found
				}
				c.expects(t, next, clock)
			})
		}
	}
}

func (c cell) limitOr(def int) int {
	if c.limit > 0 {
		return c.limit
	}
	return def
}

// Every cell again, as a node sees it.
func TestVerdictOnRedis(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store) {
		var registry registry
		nodes := make(map[[2]int]*node)
		nodeOf := func(c cell) *node {
			k := [2]int{c.limitOr(3)}
			if nodes[k] == nil {
				nodes[k] = start(t, s, &registry, me, func(cfg *Config) { cfg.Crashes = c.limit })
			}
			return nodes[k]
		}
		for i, c := range table {
			h := hold(c.name, g, n, tries)
			was := c.found
			if c.gone { // an owner of its own: the others' goes on living
				c.found.Owner += "-" + string(rune('A'+i))
				if c.next.Owner == other {
					c.next.Owner = c.found.Owner
				}
				registry.leave(c.found.Owner)
			}
			if was.State != 0 {
				put(t, s, h, c.found.String())
			}
			node := nodeOf(c)
			clock := time.Now().UnixMicro()
			v := node.begin(h)
			t.Run(c.name, func(t *testing.T) {
				if v != c.verdict {
					t.Fatalf("%s, want %s", v, c.verdict)
				}
				text, got := stored(t, s, h)
				c.expects(t, got, clock)
				if won := v == Run || v == Bury; h.Won() != won {
					t.Errorf("won: %v, want %v", h.Won(), won)
				} else if won && (h.Attempt() != got.Attempt || h.Fence() != got.Fence || h.Crashes() != got.Crashes || h.text != text) {
					t.Errorf("the hold says attempt %d, fence %d, crashes %d, text %q; Redis %q", h.Attempt(), h.Fence(), h.Crashes(), h.text, text)
				}
			})
		}
	})
}

// A node draws no fence twice, however many it draws in a microsecond, and follows the clock.
func TestFencesGrow(t *testing.T) {
	node := start(t, onMiniredis(t), &registry{}, me)
	now := time.Now()
	last := node.fence(now)
	if last != now.UnixMicro() {
		t.Errorf("fence %d at %d", last, now.UnixMicro())
	}
	for _, at := range []time.Time{now, now, now.Add(-time.Hour), now, now.Add(time.Second), now.Add(time.Second)} {
		fence := node.fence(at)
		if fence <= last || fence < at.UnixMicro() {
			t.Errorf("fence %d at %d, after %d", fence, at.UnixMicro(), last)
		}
		last = fence
	}
}

// What a producer announced is begun like what nobody knows, in the first call.
func TestAnnouncedIsBegunAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		node := start(t, s, &registry{}, me)
		for _, announced := range []string{"", "1p 0 1 1 0 - - 0 5 mail send", "1p 0 1 1 0 d - 0 5 mail send"} {
			h := hold("announced "+announced, 0, 1, 1)
			put(t, s, h, announced)
			before := s.Calls()
			node.won(h)
			if calls := s.Calls() - before; calls != 1 {
				t.Errorf("%q: %d calls, want 1", announced, calls)
			}
			_, got := stored(t, s, h)
			want := Claim{State: Running, Turn: 1, Attempt: 1, Owner: me, Fence: got.Fence, At: got.At, Type: "mail send"}
			if got != want {
				t.Errorf("%q became %q, want %q", announced, got, want)
			}
		}
		// But only the first turn may pass over it unread.
		for _, c := range []struct {
			text    string
			record  *Hold
			verdict Verdict
		}{
			{"1p 0 1 1 0 - - 0 5 mail send", hold("second", 0, 2, 1), Run},
			{"1p 0 1 2 0 - - 0 5 mail send", hold("released in its second attempt", 0, 1, 1), Run},
			{"1p 0 2 1 0 - - 0 5 mail send", hold("snoozed", 0, 1, 1), Stale},
			{"1p 1 1 1 0 - - 0 5 mail send", hold("replayed", 0, 1, 1), Stale},
			{"1p 0 1 1 2 - - 0 5 mail send", hold("crashed before", 0, 1, 1), Run},
			{"1p 0 1 1 0 k - 0 5 mail send", hold("taken over before", 0, 1, 1), Run},
			{"1p 0 1 1 0 - o 2qgpckvng1r 5 mail send", hold("run before", 0, 1, 1), Run},
		} {
			put(t, s, c.record, c.text)
			if v := node.begin(c.record); v != c.verdict {
				t.Errorf("%s: %s, want %s", c.record.Task.ID, v, c.verdict)
			}
			was, _ := Parse(c.text)
			if _, got := stored(t, s, c.record); c.verdict == Run &&
				(got.Crashes != was.Crashes || got.Flags != was.Flags || got.Attempt != was.Attempt || got.Fence <= was.Fence) {
				t.Errorf("%s: %q became %q", c.record.Task.ID, c.text, got)
			}
		}
	})
}

func TestUnknownFormatIsHeld(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		node := start(t, s, &registry{}, me)
		for _, text := range []string{"2x 0 1 1 0 - me 1 5 t", "2s 0 1 1 0 - - 0 5 t", "1q 0 1 1 0 - me 1 5 t", "?", `{"v":3}`} {
			for _, generation := range []int{0, 1} {
				h := hold("unknown "+text, generation, 1, 1)
				put(t, s, h, text)
				if v := node.begin(h); v != Held {
					t.Errorf("%q: %s, want held", text, v)
				}
				if got, err := s.get(t.Context(), h.identity().Key()); got != text || err != nil {
					t.Errorf("%q became %q, %v", text, got, err)
				}
			}
		}
	})
}

// Nothing is taken from anybody on a suspicion.
func TestRegistryAwayIsHeld(t *testing.T) {
	s := onMiniredis(t)
	var registry registry
	registry.leave(other)
	registry.fail(errors.New("etcd is away"))
	node := start(t, s, &registry, me)
	for _, c := range []Claim{at(Running, g, n), at(Dying, g, n)} {
		h := hold(string(c.State), g, n, tries)
		put(t, s, h, c.String())
		if v := node.begin(h); v != Held {
			t.Errorf("%s, want held", v)
		}
		if got, _ := stored(t, s, h); got != c.String() {
			t.Errorf("the claim became %q", got)
		}
	}
}

// Without a session nothing begins; with the next one it does.
func TestBeginWaitsForASession(t *testing.T) {
	s := onMiniredis(t)
	node := start(t, s, &registry{}, me)
	node.lost()
	h := hold("waits", 0, 1, 1)
	node.Begin(h)
	none(t, h.Of.(chan Verdict))
	node.trusted("me-2")
	if v := node.verdict(h); v != Run {
		t.Fatalf("%s, want run", v)
	}
	if _, c := stored(t, s, h); c.Owner != "me-2" || h.Lease().ID() != "me-2" {
		t.Errorf("it runs under %q, of %q", c.Owner, h.Lease().ID())
	}

	late := hold("late", 0, 1, 1)
	node.lost()
	node.Begin(late)
	node.stop()
	if v := node.verdict(late); v != Again {
		t.Errorf("as the book was closed: %s, want again", v)
	}
}
