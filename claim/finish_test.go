package claim

import (
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
)

// A run that ended, the claim that Redis shows then, and whether its outcome may be written over that.
type finale struct {
	name      string
	found     func(have Claim) Claim // State 0: none
	untrusted bool                   // the run's session, by then
	lost      bool
	canceled  bool // what is neither success nor death ends as canceled
	dead      bool // is written all the same: its letter is
}

var ours = func(have Claim) Claim { return have }

// A claim at (generation, turn), some other run's.
func foreign(s State, generation, turn int) func(Claim) Claim {
	return func(Claim) Claim { return at(s, generation, turn) }
}

var endings = []finale{
	{name: "its own", found: ours},
	{name: "its own, session over", found: ours, untrusted: true},
	{name: "its own, to be canceled", found: func(c Claim) Claim { return c.with(CancelAsked) }, canceled: true},
	{name: "its own, to be canceled, session over", found: func(c Claim) Claim { return c.with(CancelAsked) }, untrusted: true, canceled: true},
	{name: "its own, gone back before it was alone", found: func(c Claim) Claim { c.Flags, c.Attempt = 0, 1; return c }},
	{name: "its own, dying", found: func(c Claim) Claim { c.State = Dying; return c }, untrusted: true},

	{name: "missing", found: foreign(0, 0, 0)},
	{name: "missing, session over", found: foreign(0, 0, 0), untrusted: true, lost: true, dead: true},
	{name: "older turn running", found: foreign(Running, g, n-1)},
	{name: "older turn retrying", found: foreign(Retrying, g, n-1)},
	{name: "older generation dead", found: foreign(Dead, g-1, n)},
	{name: "older generation succeeded, later turn", found: foreign(Succeeded, g-1, n+5)},
	{name: "older turn running, session over", found: foreign(Running, g, n-1), untrusted: true, lost: true},
	{name: "older generation dead, session over", found: foreign(Dead, g-1, n), untrusted: true, lost: true},
	{name: "pending at this turn", found: foreign(Pending, g, n)},
	{name: "retrying at this turn", found: foreign(Retrying, g, n)},
	{name: "pending at this turn, session over", found: foreign(Pending, g, n), untrusted: true, lost: true},
	{name: "retrying at this turn, session over", found: foreign(Retrying, g, n), untrusted: true, lost: true},

	{name: "stolen", found: func(c Claim) Claim { c.Owner, c.Fence = other, c.Fence+1; return c }, lost: true},
	{name: "stolen, to be canceled", found: func(c Claim) Claim { c.Owner, c.Fence = other, c.Fence+1; return c.with(CancelAsked) }, lost: true},
	{name: "stolen by a later run of this session", found: func(c Claim) Claim { c.Fence++; return c }, lost: true},
	{name: "of another session with this fence", found: others, lost: true},
	{name: "being buried by another", found: foreign(Dying, g, n), lost: true},
	{name: "retrying at the next turn", found: foreign(Retrying, g, n+1), lost: true},
	{name: "running the next turn", found: foreign(Running, g, n+1), lost: true},
	{name: "succeeded", found: foreign(Succeeded, g, n), lost: true},
	{name: "dead", found: foreign(Dead, g, n), lost: true},
	{name: "canceled", found: foreign(Canceled, g, n), lost: true},
	{name: "canceled for all generations", found: foreign(Canceled, AllGenerations, 1), lost: true},
	{name: "succeeded in an earlier turn", found: foreign(Succeeded, g, n-1), untrusted: true, lost: true},
	{name: "a later generation runs", found: foreign(Running, g+1, 1), lost: true},
}

// What a node may say of a run, and what it then shows.
var says = []struct {
	name string
	say  func(b *Book, h *Hold, done func(Result))
	next func(have Claim) Claim // but for the time
}{
	{"succeeded", outcome(Outcome{State: Succeeded}), becomes(Succeeded, 0, 0)},
	{"canceled", outcome(Outcome{State: Canceled}), becomes(Canceled, 0, 0)},
	{"retrying", outcome(Outcome{State: Retrying, Due: due}), becomes(Retrying, 1, 1)},
	{"snoozed", outcome(Outcome{State: Pending, Due: due}), becomes(Pending, 1, 0)},
	{"dying", outcome(Outcome{State: Dying}), becomes(Dying, 0, 0)},
	{"dead", outcome(Outcome{State: Dead}), becomes(Dead, 0, 0)},
	{"released", (*Book).Release, becomes(Pending, 0, 0)},
	{"alone", (*Book).Alone, func(c Claim) Claim { return c.with(Alone) }},
	{"retried in place", func(b *Book, h *Hold, done func(Result)) { b.Retried(h, 9, done) }, func(c Claim) Claim { return c.tried(9) }},
}

var due = time.UnixMilli(1<<41 + 7)

func outcome(o Outcome) func(*Book, *Hold, func(Result)) {
	return func(b *Book, h *Hold, done func(Result)) { b.Finish(h, o, done) }
}

func becomes(s State, turns, attempts int) func(Claim) Claim {
	return func(c Claim) Claim {
		c.State, c.Turn, c.Attempt = s, c.Turn+turns, c.Attempt+attempts
		c.Flags &= TakenOver
		return c
	}
}

// follows is what Redis shows after next was asked to replace have where it showed found; "" where that stays.
func (e finale) follows(have, found, next Claim) (want Claim, written bool) {
	if e.lost && !(e.dead && next.State == Dead) {
		return found, false
	}
	switch next.State {
	case Running:
		if found.Owner == have.Owner && found.Fence == have.Fence {
			next = next.with(found.Flags)
		}
	case Succeeded, Dying, Dead:
	default:
		if e.canceled {
			next.State, next.Turn, next.Generation = Canceled, have.Turn, have.Generation
		}
	}
	return next, true
}

func TestConfirm(t *testing.T) {
	have := mine(at(Running, g, n)).crashed(1).with(TakenOver | Alone)
	for _, e := range endings {
		found := e.found(have)
		for _, say := range says {
			t.Run(e.name+"/"+say.name, func(t *testing.T) {
				next := say.next(have)
				next.At = 100
				want, written := e.follows(have, found, next)
				got, write := confirm(found, have, next, !e.untrusted, 101)
				if write != written {
					t.Fatalf("write is %v, want %v", write, written)
				}
				if write && e.canceled && want.State == Canceled {
					want.At = 101
				}
				if write && got != want {
					t.Errorf("%q is written, want %q", got, want)
				}
			})
		}
	}
}

// Every ending of every kind, as a node sees it.
func TestFinishOnRedis(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store) {
		node := start(t, s, &registry{}, me)
		for _, e := range endings {
			for _, say := range says {
				t.Run(e.name+"/"+say.name, func(t *testing.T) {
					node.t = t
					h := hold(e.name+say.name, g, n, tries)
					session := lease.New(me)
					session.Trust(time.Now().Add(time.Hour))
					defer session.End()
					node.set(session)
					node.won(h)
					mustWrite(t, node.answer(func(done func(Result)) { node.Alone(h, done) }))
					have := h.claim()
					found := e.found(have)
					found.At = have.At
					was := ""
					if found.State != 0 {
						was = found.String()
					}
					put(t, s, h, was)
					if e.untrusted {
						session.End()
					}
					calls, now := s.Calls(), time.Now().UnixMilli()
					next := say.next(have)
					want, written := e.follows(have, found, next)
					answer := node.answer(func(done func(Result)) { say.say(node.Book, h, done) })
					text, got := stored(t, s, h)
					calls = s.Calls() - calls
					if (answer == Written) != written {
						t.Fatalf("%s: Redis showed %q, then %q", answer, was, text)
					}
					if !written {
						if text != was {
							t.Errorf("%q became %q", was, text)
						}
						if h.Won() {
							t.Error("it still says that it won")
						}
						if h.again(); node.Stats().Lost == 0 {
							t.Error("it is not counted")
						}
						return
					}
					switch want.State {
					case Running:
					case Retrying, Pending:
						if want.Turn > n {
							want.At = due.UnixMilli()
							break
						}
						fallthrough
					default:
						if got.At < now || got.At > time.Now().UnixMilli() {
							t.Errorf("its time is %d, it is %d", got.At, now)
						}
						want.At = got.At
					}
					if got != want {
						t.Errorf("%q became %q, want %q", was, got, want)
					}
					if h.claim() != want || h.text != text || h.Canceled() != (want.State == Canceled || want.State == Running && e.canceled) {
						t.Errorf("the hold says %q, %q, canceled: %v; Redis %q", h.claim(), h.text, h.Canceled(), text)
					}
					if e.name == "its own" && calls != 1 {
						t.Errorf("%d calls, want 1", calls)
					}
					node.trusted(me)
					// A run that goes on keeps its task; one that is over doesn't.
					goesOn := want.State == Running || want.State == Dying
					if rival := hold(h.Task.ID, g, n, tries); goesOn {
						if v := node.begin(rival); v != Held {
							t.Errorf("another record begins: %s, want held", v)
						}
						if r := node.finish(h, Outcome{State: Dead}); r != Written {
							t.Errorf("it ends: %s", r)
						}
					} else if v := node.begin(rival); v == Held {
						t.Error("another record is held after its end")
					}
				})
			}
		}
	})
}

// again makes a hold as good as new.
func (h *Hold) again() { h.have, h.text = Claim{}, "" }

func mustWrite(t testing.TB, r Result) {
	t.Helper()
	if r != Written {
		t.Fatal(r)
	}
}

// A result that was lost is not the end: the record begins again, and gets a verdict.
func TestLostBeginsAgain(t *testing.T) {
	s := onMiniredis(t)
	var registry registry
	a, b := start(t, s, &registry, me), start(t, s, &registry, other)
	mine, theirs := hold("zombie", 0, 1, 1), hold("zombie", 0, 1, 1)
	a.won(mine)
	registry.leave(me)
	b.won(theirs)
	if theirs.Fence() <= mine.Fence() || theirs.Crashes() != 1 {
		t.Errorf("fence %d after %d, %d crashes", theirs.Fence(), mine.Fence(), theirs.Crashes())
	}
	if r := a.finish(mine, Outcome{State: Succeeded}); r != Lost {
		t.Fatalf("%s, want lost", r)
	}
	a.trusted("me-2")
	if v := a.begin(mine); v != Held {
		t.Fatalf("%s, want held: it runs elsewhere", v)
	}
	mustWrite(t, b.finish(theirs, Outcome{State: Succeeded}))
	if v := a.begin(mine); v != Done {
		t.Fatalf("%s, want done", v)
	}
	if st := b.Stats(); st.Stolen != 1 || st.Run != 1 {
		t.Errorf("%+v", st)
	}
	if st := a.Stats(); st.Lost != 1 || st.Held != 1 || st.Done != 1 {
		t.Errorf("%+v", st)
	}
}

// A wish to cancel that the owner has heard of counts when the run ends.
func TestCancelThatWasSeenIsNotForgotten(t *testing.T) {
	for _, say := range says {
		t.Run(say.name, func(t *testing.T) {
			s := onMiniredis(t)
			node := start(t, s, &registry{}, me)
			h := node.won(hold("canceled", g, n, tries))
			have := h.claim()
			if c, err := s.Cancel(t.Context(), h.identity(), Window{}); err != nil || !c.Asked {
				t.Fatal(c, err)
			}
			node.refreshOlder(1 << 62)
			if i := await(t, node.interrupt); i.cause != ErrCanceled || i.hold != h || !h.Canceled() {
				t.Fatalf("%v, canceled: %v", i, h.Canceled())
			}
			mustWrite(t, node.answer(func(done func(Result)) { say.say(node.Book, h, done) }))
			want, _ := finale{canceled: true}.follows(have, have.with(CancelAsked), say.next(have))
			_, got := stored(t, s, h)
			if got.At = want.At; got != want {
				t.Errorf("it ends as %q, want %q", got, want)
			}
		})
	}
}

// What there is to say is said, whatever Redis showed at first.
func TestDetailsComeWithTheOutcome(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		node := start(t, s, &registry{}, me)
		for name, found := range map[string]func(Claim) Claim{
			"expected":       ours,
			"to be canceled": func(c Claim) Claim { return c.with(CancelAsked) },
			"missing":        foreign(0, 0, 0),
		} {
			h := node.won(hold(name, g, n, tries))
			was := ""
			if c := found(h.claim()); c.State != 0 {
				was = c.String()
			}
			put(t, s, h, was)
			mustWrite(t, node.finish(h, Outcome{State: Dying, Details: &Details{Error: name, Result: []byte("42")}}))
			d, err := s.Details(t.Context(), h.identity())
			if err != nil || d == nil || d.Error != name || string(d.Result) != "42" || d.ID != h.Task.ID || d.Queue != "q" || d.Source != "s" {
				t.Errorf("%s: %+v, %v", name, d, err)
			}
			claim, details := kept(t, s, h.identity()), s.client.PTTL(t.Context(), h.identity().Key().text(s.prefix)+detailsSuffix).Val()
			if !about(details, atWork) || !about(claim, atWork) {
				t.Errorf("%s: the claim is kept for %v, the details for %v", name, claim, details)
			}
		}
	})
}

// A run that is to be canceled has perhaps sent its successor already: the claim must be there when that arrives.
func TestCanceledOutlivesTheSuccessor(t *testing.T) {
	s := onMiniredis(t)
	const id = "01890a5d-ac96-774b-bcce-b302099a8057" // kept for an hour
	check := func(name string, h *Hold, least time.Duration) {
		t.Helper()
		if _, c := stored(t, s, h); c.State != Canceled {
			t.Fatalf("%s: it ends as %q", name, c)
		}
		if kept := s.client.PTTL(t.Context(), h.name).Val(); kept < least {
			t.Errorf("%s: it is kept for %v, want at least %v", name, kept, least)
		}
	}
	const later = 6 * time.Hour
	var registry registry
	node := start(t, s, &registry, me)
	for _, seen := range []bool{false, true} {
		h := node.won(hold(id, 0, 1, 1))
		if _, err := s.Cancel(t.Context(), h.identity(), Window{}); err != nil {
			t.Fatal(err)
		}
		if seen {
			node.refreshOlder(1 << 62)
			await(t, node.interrupt)
		}
		mustWrite(t, node.finish(h, Outcome{State: Retrying, Due: time.Now().Add(later)}))
		check("finished", h, later)
		put(t, s, h, "")
	}
	put(t, s, hold(id, 0, 1, 1), at(Running, 0, 1).with(CancelAsked).String())
	registry.leave(other)
	h := hold(id, 0, 1, 1)
	if v := node.begin(h); v != Done {
		t.Fatalf("%s, want done", v)
	}
	check("taken over", h, 300*24*time.Hour)
}
