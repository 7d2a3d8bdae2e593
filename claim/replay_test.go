package claim

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// What becomes of the letter of generation 1.
func TestReplayTable(t *testing.T) {
	tests := []struct {
		state      State
		generation int
		want       Replay
	}{
		{0, 0, ReplaySend},
		{Dead, 1, ReplaySend},
		{Dying, 1, ReplaySend},
		{Pending, 1, ReplayAtWork},
		{Running, 1, ReplayAtWork},
		{Retrying, 1, ReplayAtWork},
		{Succeeded, 1, ReplaySucceeded},
		{Canceled, 1, ReplayCanceled},
		{Canceled, AllGenerations, ReplayCanceled},
		{Foreign, 0, ReplayForeign},

		{Pending, 2, ReplaySent},
		{Running, 2, ReplaySent},
		{Retrying, 2, ReplaySent},
		{Dying, 2, ReplaySent},
		{Succeeded, 2, ReplaySent},
		{Dead, 2, ReplaySent},
		{Canceled, 2, ReplaySent}, // while it ran

		{Pending, 0, ReplayAtWork},
		{Running, 0, ReplayAtWork},
		{Retrying, 0, ReplayAtWork},
		{Dying, 0, ReplayAtWork}, // somebody writes a letter
		{Succeeded, 0, ReplaySend},
		{Dead, 0, ReplaySend},
		{Canceled, 0, ReplaySend},
	}
	for _, tt := range tests {
		if got := (Claim{State: tt.state, Generation: tt.generation}).Replay(1); got != tt.want {
			t.Errorf("%c of generation %d: %v, want %v", tt.state, tt.generation, got, tt.want)
		}
	}
}

// What is sent to be begun is never dropped for what the claim says now: else its letter's tombstone would lose the task.
func TestWhatIsReplayedMayRun(t *testing.T) {
	for _, state := range []State{0, Pending, Running, Retrying, Dying, Succeeded, Dead, Canceled} {
		for _, g := range []int{0, 1, 2, AllGenerations} {
			found := Claim{State: state, Generation: g, Turn: 1, Owner: "other"}
			if state == 0 {
				found = Claim{}
			}
			if found.Replay(1) != ReplaySend {
				continue
			}
			v := Run // there is no claim
			if state != 0 {
				v, _, _ = judge(found, bid{generation: 2, turn: 1, me: "me"}, false)
			}
			if v == Done || v == Stale {
				t.Errorf("the replay of a letter whose claim is %c of generation %d is %v", state, g, v)
			}
		}
	}
}

func TestClaims(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		const n = 2*maxBatch + 7
		ids := make([]Identity, n)
		pipe := s.client.Pipeline()
		want := make([]Claim, n)
		for i := range ids {
			ids[i] = Identity{Queue: "tasks", Source: "/s", ID: fmt.Sprint(i)}
			name := ids[i].Key().text(s.prefix)
			switch i % 3 {
			case 0:
				want[i] = Claim{State: Dead, Generation: i, Turn: 1, Attempt: 1, Type: "t"}
				pipe.Set(t.Context(), name, want[i].String(), 0)
			case 1:
				want[i] = Claim{State: Foreign}
				pipe.Set(t.Context(), name, "9? what is to come", 0)
			}
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := s.Claims(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("claim %d: %+v, want %+v", i, got[i], want[i])
			}
		}
		if none, err := s.Claims(t.Context(), nil); err != nil || len(none) != 0 {
			t.Errorf("the claims of nothing: %v, %v", none, err)
		}
	})
}

func TestClaimsOfARedisThatIsAway(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		if err := s.client.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := s.Claims(t.Context(), []Identity{{Queue: "tasks", Source: "/s", ID: "1"}})
		if !errors.Is(err, redis.ErrClosed) || !strings.HasPrefix(err.Error(), "ask redis: ") {
			t.Errorf("error %v", err)
		}
	})
}
