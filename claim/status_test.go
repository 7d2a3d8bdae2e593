package claim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/task"
)

func TestGet(t *testing.T) {
	now := time.Now().Truncate(time.Millisecond)
	at := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
	failure := Details{Error: "last", FirstError: "first", Node: "n1"}
	tests := []struct {
		name    string
		claim   Claim
		details *Details
		state   task.State
		check   func(s Status) bool
	}{
		{"pending", Claim{State: Pending, Turn: 1, Attempt: 1, At: at(0), Type: "a b"}, nil, task.Pending,
			func(s Status) bool { return s.Type == "a b" && s.Turn == 1 && s.Attempt == 1 && s.At.Equal(now) }},
		{"scheduled", Claim{State: Pending, Turn: 1, Attempt: 1, Flags: Delayed, At: at(time.Hour)}, nil, task.Scheduled,
			func(s Status) bool { return s.At.Equal(now.Add(time.Hour)) }},
		{"due", Claim{State: Pending, Turn: 1, Attempt: 1, Flags: Delayed, At: at(-time.Hour)}, nil, task.Pending, nil},
		{"running", Claim{State: Running, Turn: 1, Attempt: 1, Owner: "me", Fence: 17, Crashes: 1}, &Details{Progress: 0.5, Note: "half"}, task.Running,
			func(s Status) bool {
				return s.Owner == "me" && s.Fence == 17 && s.Crashes == 1 && !s.CancelAsked && s.Details.Progress == 0.5 && s.Details.Note == "half"
			}},
		{"to be canceled", Claim{State: Running, Turn: 1, Attempt: 1, Owner: "me", Flags: CancelAsked}, nil, task.Running,
			func(s Status) bool { return s.CancelAsked }},
		{"dying", Claim{State: Dying, Turn: 2, Attempt: 2, Owner: "me"}, &Details{Reason: task.ReasonPoison}, task.Running,
			func(s Status) bool { return s.Details.Reason == task.ReasonPoison }},
		{"retrying", Claim{State: Retrying, Turn: 2, Attempt: 2, Owner: "me"}, &failure, task.Retrying,
			func(s Status) bool {
				return s.Details.Error == "last" && s.Details.FirstError == "first" && s.Details.Node == "n1" && s.Turn == 2
			}},
		{"dead", Claim{State: Dead, Turn: 2, Attempt: 2}, &Details{Reason: task.ReasonExhausted}, task.Dead,
			func(s Status) bool { return s.Details.Reason == task.ReasonExhausted }},
		{"succeeded", Claim{State: Succeeded, Generation: 1, Turn: 1, Attempt: 1}, &Details{Result: []byte("42")}, task.Succeeded,
			func(s Status) bool { return string(s.Details.Result) == "42" && s.Generation == 1 }},
		{"succeeded after a death and some progress", Claim{State: Succeeded, Generation: 1, Turn: 1, Attempt: 1},
			&Details{Reason: task.ReasonFailed, Progress: 0.9, Note: "nearly"}, task.Succeeded,
			func(s Status) bool { return s.Details.Reason == "" && s.Details.Progress == 0 && s.Details.Note == "" }},
		{"canceled", Claim{State: Canceled, Generation: AllGenerations, Turn: 1, Attempt: 1}, nil, task.Canceled, nil},
	}
	onEach(t, func(t *testing.T, s *Store) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				id := named(tt.name)
				showClaim(t, s, id, tt.claim)
				if tt.details != nil {
					showClaim(t, s, id, tt.claim, *tt.details)
				}
				got, err := s.Get(within(t, patience), id)
				if err != nil {
					t.Fatal(err)
				}
				if got.Queue != id.Queue || got.Source != id.Source || got.ID != id.ID || got.State != tt.state {
					t.Errorf("got %+v, want it %s", got, tt.state)
				}
				if tt.check != nil && !tt.check(got) {
					t.Errorf("got %+v", got)
				}
				if !about(time.Until(got.Until), time.Hour) {
					t.Errorf("kept until %v", got.Until)
				}
			})
		}
		if _, err := s.Get(within(t, patience), named("nobody")); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), `"nobody"`) {
			t.Errorf("an unknown task: %v", err)
		}
	})
}

// A claim that a later version wrote is neither absent nor guessed at.
func TestGetUnknownFormat(t *testing.T) {
	s := storeAt(t, testenv.Redis(t), testenv.Unique(t))
	put(t, s, hold("new", 0, 1, 1), "2x whatever that means")
	_, err := s.Get(within(t, patience), named("new"))
	if !errors.Is(err, ErrFormat) || errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "2x whatever") {
		t.Errorf("get: %v", err)
	}
	if err := s.Wait(within(t, patience), []Identity{named("new")}, nil); !errors.Is(err, ErrFormat) {
		t.Errorf("wait: %v", err)
	}
	if _, err := s.Cancel(within(t, patience), named("new"), Window{}); !errors.Is(err, ErrFormat) {
		t.Errorf("cancel: %v", err)
	}
	if text, _ := s.get(within(t, patience), named("new").Key()); text != "2x whatever that means" {
		t.Errorf("it was overwritten with %q", text)
	}
}

// Details of a later version don't hide the claim.
func TestGetUnreadableDetails(t *testing.T) {
	s := storeAt(t, testenv.Redis(t), testenv.Unique(t))
	id := named("odd")
	showClaim(t, s, id, Claim{State: Retrying, Turn: 2, Attempt: 2})
	if err := s.client.Set(within(t, patience), id.Key().text(s.prefix)+detailsSuffix, "\x01binary", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(within(t, patience), id); err != nil || got.State != task.Retrying {
		t.Errorf("got %+v (%v)", got, err)
	}
}

func TestGetRedisAway(t *testing.T) {
	s := storeAt(t, "127.0.0.1:1", "")
	if _, err := s.Get(within(t, patience), named("1")); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("got %v", err)
	}
}

// Tasks that have ended are told at once, the others when they end, each once. More are waited for than fit a pipeline.
func TestWait(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store) {
		const n = maxLooks + 7
		ids := []Identity{named("0"), named("0")} // twice the same
		for i := 1; i < n; i++ {
			ids = append(ids, named(fmt.Sprint(i)))
		}
		ends := []State{Succeeded, Dead, Canceled}
		for i, id := range ids[2:] {
			showClaim(t, s, id, Claim{State: ends[i%3], Turn: 1, Attempt: 1})
		}
		showClaim(t, s, named("1"), Claim{State: Running, Turn: 1, Attempt: 1}) // and 0 is not known yet
		told := map[string]task.State{}
		err := s.Wait(within(t, patience), ids, func(st Status) {
			if _, twice := told[st.ID]; twice {
				t.Errorf("%s is told twice", st.ID)
			}
			told[st.ID] = st.State
			switch {
			case len(told) == n-2: // all but the two
				showClaim(t, s, named("1"), Claim{State: Dead, Turn: 1, Attempt: 1})
			case len(told) == n-1:
				showClaim(t, s, named("0"), Claim{State: Succeeded, Turn: 1, Attempt: 1})
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(told) != n || told["0"] != task.Succeeded || told["1"] != task.Dead || told["5"] != task.Dead {
			t.Errorf("%d of %d told: 0 %s, 1 %s, 5 %s", len(told), n, told["0"], told["1"], told["5"])
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	s := storeAt(t, testenv.Redis(t), testenv.Unique(t))
	showClaim(t, s, named("done"), Claim{State: Succeeded, Turn: 1, Attempt: 1})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	err := s.Wait(ctx, []Identity{named("done"), named("never")}, func(Status) { cancel(why) })
	if !errors.Is(err, why) || !strings.Contains(err.Error(), "1 of 2") {
		t.Errorf("got %v", err)
	}
	if err := s.Wait(within(t, patience), nil, nil); err != nil {
		t.Errorf("nothing to wait for: %v", err)
	}
}

// A restart of Redis is waited out.
func TestWaitWhileRedisRestarts(t *testing.T) {
	server := testenv.StartRedis(t)
	s := storeAt(t, server.Addr(), "")
	showClaim(t, s, named("first"), Claim{State: Succeeded, Turn: 1, Attempt: 1})
	lookFailed, restarted := make(failed, 1), make(chan error, 1)
	s.client.AddHook(lookFailed)
	err := s.Wait(within(t, patience), []Identity{named("first"), named("second")}, func(st Status) {
		if st.ID != "first" {
			return
		}
		if err := server.Kill(); err != nil {
			t.Error(err)
		}
		go func() {
			<-lookFailed
			err := server.Start()
			if err == nil {
				showClaim(t, storeAt(t, server.Addr(), s.prefix), named("second"), Claim{State: Succeeded, Turn: 1, Attempt: 1})
			}
			restarted <- err
		}()
	})
	if err != nil {
		t.Error(err)
	}
	if err := <-restarted; err != nil {
		t.Error(err)
	}
}
