package claim

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/task"
)

const year = 365 * 24 * time.Hour

// What becomes of a claim of each state when somebody cancels the task.
func TestCancel(t *testing.T) {
	due := time.Now().Add(time.Hour).UnixMilli()
	tests := []struct {
		name   string
		before Claim // State 0: none
		want   Cancellation
		after  func(before Claim) Claim // nil: nothing is written. Its At is not looked at
		kept   time.Duration
	}{
		{"none", Claim{}, Cancellation{"", task.Canceled, false},
			func(Claim) Claim { return Claim{State: Canceled, Generation: AllGenerations, Turn: 1, Attempt: 1} }, year + 24*time.Hour},
		{"pending", Claim{State: Pending, Turn: 1, Attempt: 1, Type: "a b"}, Cancellation{task.Pending, task.Canceled, false},
			func(c Claim) Claim { c.State, c.Generation = Canceled, AllGenerations; return c }, year + 24*time.Hour},
		{"scheduled", Claim{State: Pending, Turn: 1, Attempt: 1, Flags: Delayed, At: due}, Cancellation{task.Scheduled, task.Canceled, false},
			func(c Claim) Claim { c.State, c.Generation, c.Flags = Canceled, AllGenerations, 0; return c }, year + 24*time.Hour},
		{"retrying", Claim{State: Retrying, Generation: 1, Turn: 3, Attempt: 2, Crashes: 1, Flags: TakenOver, Owner: "o", Fence: 7, At: due},
			Cancellation{task.Retrying, task.Canceled, false},
			func(c Claim) Claim { c.State, c.Generation = Canceled, AllGenerations; return c }, year + 24*time.Hour},
		{"running", Claim{State: Running, Turn: 1, Attempt: 1, Flags: TakenOver, Owner: "o", Fence: 7}, Cancellation{task.Running, task.Running, true},
			func(c Claim) Claim { c.Flags |= CancelAsked; return c }, atWork},
		{"asked before", Claim{State: Running, Turn: 1, Attempt: 1, Flags: CancelAsked, Owner: "o", Fence: 7}, Cancellation{task.Running, task.Running, true}, nil, 0},
		{"dying", Claim{State: Dying, Turn: 1, Attempt: 1, Owner: "o", Fence: 7}, Cancellation{task.Running, task.Running, false}, nil, 0},
		{"succeeded", Claim{State: Succeeded, Turn: 1, Attempt: 1, Owner: "o", Fence: 7}, Cancellation{task.Succeeded, task.Succeeded, false}, nil, 0},
		{"dead", Claim{State: Dead, Turn: 1, Attempt: 1, Owner: "o", Fence: 7}, Cancellation{task.Dead, task.Dead, false}, nil, 0},
		{"canceled", Claim{State: Canceled, Generation: AllGenerations, Turn: 1, Attempt: 1}, Cancellation{task.Canceled, task.Canceled, false}, nil, 0},
	}
	onEach(t, func(t *testing.T, s *Store) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				h := hold(tt.name, 0, 1, 1)
				if tt.before.State != 0 {
					put(t, s, h, tt.before.String())
				}
				got, err := s.Cancel(within(t, patience), h.identity(), Window{})
				if err != nil || got != tt.want {
					t.Errorf("got %+v (%v), want %+v", got, err, tt.want)
				}
				want := tt.before
				if tt.after != nil {
					want = tt.after(tt.before)
					if d := kept(t, s, h.identity()); !about(d, tt.kept) {
						t.Errorf("kept for %v, want %v", d, tt.kept)
					}
				}
				_, after := stored(t, s, h)
				if want.At = after.At; after != want {
					t.Errorf("the claim is %v, want %v", after, want)
				}
				if got.Before != task.Canceled && got.After == task.Canceled && !about(time.Since(after.Time()), patience) {
					t.Errorf("canceled at %v", after.Time())
				}
				// To ask again changes nothing.
				again, err := s.Cancel(within(t, patience), h.identity(), Window{})
				if err != nil || again.After != got.After || again.Asked != got.Asked {
					t.Errorf("asked again: %+v (%v)", again, err)
				}
				if _, c := stored(t, s, h); c != after {
					t.Errorf("asked again: %v", c)
				}
			})
		}
	})
}

// The windows are the queue's: how long a record of the task may still be on its way, and the one for its kind of id.
func TestCancelKeepsForTheQueuesWindow(t *testing.T) {
	s := onMiniredis(t)
	w := Window{Minted: time.Minute, Chosen: time.Hour, Longest: 10 * time.Hour}
	for id, want := range map[string]time.Duration{
		"chosen":              11 * time.Hour,
		task.New("t", nil).ID: 10*time.Hour + time.Minute,
	} {
		if _, err := s.Cancel(within(t, patience), named(id), w); err != nil {
			t.Fatal(err)
		}
		if d := kept(t, s, named(id)); !about(d, want) {
			t.Errorf("%s: kept for %v, want %v", id, d, want)
		}
	}
}

// A task that was canceled before it ran does not start: not by its first record, nor by a retry or a replay that is
// under way. Pitfall 62 of docs/pitfalls.md.
func TestCanceledTaskDoesNotStart(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		n := start(t, s, &registry{}, "me")
		first := hold("1", 0, 1, 1)
		if _, err := s.Cancel(within(t, patience), first.identity(), Window{}); err != nil {
			t.Fatal(err)
		}
		for _, h := range []*Hold{first, hold("1", 0, 2, 2), hold("1", 1, 1, 1)} {
			if v := n.begin(h); v != Done {
				t.Errorf("begin of (%d,%d): %s", h.Task.Generation, h.Task.Turn, v)
			}
		}
	})
}

// A run that is canceled is interrupted at once, not only at the next refresh, and ends as canceled.
func TestCancelInterruptsARun(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		n := start(t, s, &registry{}, "me")
		listening(t, s, 1)
		h, other := n.won(hold("1", 0, 1, 1)), n.won(hold("2", 0, 1, 1))
		began := time.Now()
		got, err := s.Cancel(within(t, patience), h.identity(), Window{})
		if err != nil || !got.Asked {
			t.Fatalf("got %+v (%v)", got, err)
		}
		i := await(t, n.interrupt)
		if i.hold != h || i.cause != ErrCanceled {
			t.Errorf("interrupted %s: %v", i.hold.Task.ID, i.cause)
		}
		if took := time.Since(began); took > refreshEvery {
			t.Errorf("it took %v: the message did not arrive", took)
		}
		if r := n.finish(h, Outcome{State: Retrying, Due: time.Now()}); r != Written || !h.Canceled() {
			t.Errorf("finish: %v, canceled %v", r, h.Canceled())
		}
		if got, err := s.Get(within(t, patience), h.identity()); err != nil || got.State != task.Canceled {
			t.Errorf("it shows %s (%v)", got.State, err)
		}
		none(t, n.interrupt)
		if r := n.finish(other, Outcome{State: Succeeded}); r != Written || other.Canceled() {
			t.Errorf("the other one: %v, canceled %v", r, other.Canceled())
		}
	})
}

// The claim moves on between the look and the write: what is found then counts.
func TestCancelWhileTheClaimMovesOn(t *testing.T) {
	s := storeAt(t, testenv.Redis(t), testenv.Unique(t))
	h := hold("1", 0, 1, 1)
	put(t, s, h, Claim{State: Pending, Turn: 1, Attempt: 1}.String())
	running := Claim{State: Running, Turn: 1, Attempt: 1, Owner: "o", Fence: 1}
	inject(s, func(next func() error) error {
		put(t, s, h, running.String())
		return next()
	})
	got, err := s.Cancel(within(t, patience), h.identity(), Window{})
	if want := (Cancellation{task.Running, task.Running, true}); err != nil || got != want {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	running.Flags = CancelAsked
	if _, c := stored(t, s, h); c != running {
		t.Errorf("the claim is %v, want %v", c, running)
	}
}

// A cancellation that was applied and whose reply was lost is sent again, recognizes its own write, and is counted
// once. Pitfall 43 of docs/pitfalls.md.
func TestCancelWithLostReplyIsCountedOnce(t *testing.T) {
	for name, before := range map[string]Claim{
		"pending": {State: Pending, Turn: 1, Attempt: 1, Type: "t"},
		"running": {State: Running, Turn: 1, Attempt: 1, Owner: "o", Type: "t"},
	} {
		t.Run(name, func(t *testing.T) {
			s := storeAt(t, testenv.Redis(t), testenv.Unique(t))
			h := hold("1", 0, 1, 1)
			put(t, s, h, before.String())
			// Two, because a server that does not know the script yet answers the first with that.
			lost := inject(s, replyLost, replyLost)
			got, err := s.Cancel(within(t, patience), h.identity(), Window{})
			if err != nil || string(got.Before) != name || got.Asked != (name == "running") {
				t.Errorf("got %+v (%v)", got, err)
			}
			if len(lost) != 0 {
				t.Errorf("%d replies were not lost", len(lost))
			}
			counts, err := s.Counts(within(t, patience), time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			var n int64
			for _, c := range counts {
				n += c.Tasks
			}
			if want := map[string]int64{"pending": 1}[name]; n != want {
				t.Errorf("counted %d, want %d: %v", n, want, counts)
			}
		})
	}
}

func TestCancelWhileRedisIsAway(t *testing.T) {
	s := storeAt(t, "127.0.0.1:1", "")
	if _, err := s.Cancel(within(t, patience), named("1"), Window{}); err == nil || !strings.Contains(err.Error(), "redis") {
		t.Errorf("got %v", err)
	}
	s = storeAt(t, testenv.Redis(t), testenv.Unique(t))
	broken := func(func() error) error { return errBroken }
	inject(s, broken, broken, broken, broken)
	if _, err := s.Cancel(within(t, patience), named("1"), Window{}); err == nil {
		t.Error("canceled")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Cancel(ctx, named("1"), Window{}); err == nil {
		t.Error("canceled")
	}
}
