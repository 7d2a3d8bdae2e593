package claim

import (
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/tasktier/tasktier/internal/testenv"
)

// accept takes an offer to the queue "q".
func accept(t *testing.T, s *Store) (Spare, bool) {
	t.Helper()
	spare, ok, err := s.Accept(t.Context(), "q")
	if err != nil {
		t.Fatal(err)
	}
	return spare, ok
}

func offer(t *testing.T, s *Store, spare Spare) {
	t.Helper()
	if err := s.Offer(t.Context(), "q", spare); err != nil {
		t.Fatal(err)
	}
}

// An offer is taken as it was made, once, and by a node of its queue; of several the last one stands.
func TestAnOfferIsTakenOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		if got, ok := accept(t, s); ok {
			t.Errorf("%+v was offered by nobody", got)
		}
		offer(t, s, Spare{Session: "older", Slots: 1, Partitions: []int32{9}})
		want := Spare{Session: "s-1", Slots: 7, Partitions: []int32{0, 3, 5}}
		offer(t, s, want)
		if got, ok, err := s.Accept(t.Context(), "another queue"); ok || err != nil {
			t.Errorf("an offer to q was taken for another queue: %+v, %v", got, err)
		}
		if got, ok := accept(t, s); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("taken is %+v, %v, want %+v", got, ok, want)
		}
		if got, ok := accept(t, s); ok {
			t.Errorf("%+v was taken twice", got)
		}
	})
}

// However many nodes reach for an offer at one moment, one gets it.
func TestAnOfferHasOneTaker(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store) {
		const takers, rounds = 16, 50
		var taken atomic.Int32
		for range rounds {
			offer(t, s, Spare{Session: "s", Slots: 1, Partitions: []int32{0}})
			var taking sync.WaitGroup
			for range takers {
				taking.Go(func() {
					_, ok, err := s.Accept(t.Context(), "q")
					if err != nil {
						t.Error(err)
					}
					if ok {
						taken.Add(1)
					}
				})
			}
			taking.Wait()
		}
		if got := taken.Load(); got != rounds {
			t.Errorf("%d offers were taken %d times", rounds, got)
		}
	})
}

// An offer that nobody took is void after 3 s: who made it has found other work.
func TestAnOfferExpires(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store) {
		offer(t, s, Spare{Session: "s", Slots: 1, Partitions: []int32{0}})
		left, err := s.client.PTTL(t.Context(), s.spareKey("q")).Result()
		if err != nil || left <= 0 || left > 3*time.Second {
			t.Errorf("it stands for %v, %v, want at most 3 s", left, err)
		}
	})
	t.Run("in time", func(t *testing.T) {
		server := miniredis.RunT(t)
		s := NewStore(single(t, server.Addr()), testenv.Unique(t))
		for after, want := range map[time.Duration]bool{2900 * time.Millisecond: true, 3100 * time.Millisecond: false} {
			offer(t, s, Spare{Session: "s", Slots: 1, Partitions: []int32{0}})
			server.FastForward(after)
			if _, ok := accept(t, s); ok != want {
				t.Errorf("taken after %v: %v", after, ok)
			}
		}
	})
}

// What is no offer is reported, and stands in the way of none to come.
func TestAnOfferIsGarbage(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		for _, text := range []string{"", "null and void", "[]", `{"slots":"many"}`, `{"slots":1e99}`, `{"partitions":[4294967296]}`, "\x00\xff"} {
			if err := s.client.Set(t.Context(), s.spareKey("q"), text, time.Hour).Err(); err != nil {
				t.Fatal(err)
			}
			if got, ok, err := s.Accept(t.Context(), "q"); ok || err == nil {
				t.Errorf("%q was taken as %+v", text, got)
			}
			if got, ok := accept(t, s); ok {
				t.Errorf("%q stands for another time, as %+v", text, got)
			}
		}
		// Of another type, it is in the way until the next offer.
		if err := s.client.HSet(t.Context(), s.spareKey("q"), "slots", 1).Err(); err != nil {
			t.Fatal(err)
		}
		if got, ok, err := s.Accept(t.Context(), "q"); ok || err == nil {
			t.Errorf("a hash was taken as %+v", got)
		}
		offer(t, s, Spare{Session: "s", Slots: 1, Partitions: []int32{0}})
		if _, ok := accept(t, s); !ok {
			t.Error("the next offer can't be taken")
		}
	})
}
