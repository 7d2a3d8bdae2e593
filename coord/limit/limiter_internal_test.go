package limit

import (
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/coord/lease"
)

// alone is a limiter without etcd that has one idle slot since a while ago.
func alone(t *testing.T, ago time.Duration) (*Limiter, *kind) {
	l := &Limiter{cfg: Config{Fair: fair, Linger: linger}, keys: keysUnder(""), wake: make(chan struct{}, 1), kinds: map[string]*kind{}}
	session := lease.New(me)
	session.Trust(time.Now().Add(time.Hour))
	t.Cleanup(session.End)
	k := l.kind("t")
	k.limit, k.want = Limit{N: 1}, 1
	k.add(&lease.Slot{Type: "t", Token: 9, Lease: session}, time.Now().Add(-ago))
	return l, k
}

// The consumer is faster than the goroutine that gives slots back: if Take and Release left it to that, a busy node would never yield.
func TestTakeAndReleaseYieldByThemselves(t *testing.T) {
	for _, tt := range []struct {
		name    string
		ago     time.Duration
		owed    int
		yielded bool
	}{
		{"nobody waits", time.Hour, 0, false},
		{"somebody waits, and it is not time", fair / 2, 1, false},
		{"somebody waits", fair, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, k := alone(t, tt.ago)
			k.owed = tt.owed
			if _, ok := l.Take("t"); ok == tt.yielded {
				t.Errorf("idle, it is handed out: %v", ok)
			}

			l, k = alone(t, tt.ago)
			slot, _ := l.Take("t")
			k.owed = tt.owed
			l.Release(slot)
			if _, ok := l.Take("t"); ok == tt.yielded {
				t.Errorf("after a task, it is handed out: %v", ok)
			}
		})
	}
}

// What the watch has not shown yet is not taken for lost.
func TestViewBehindTheLastWriteIsNotActedOn(t *testing.T) {
	l, k := alone(t, 0)
	seen := time.Now().Add(seenLimit)
	s := &sitting{Limiter: l, Registered: coord.Registered{Lease: k.places[0].slot.Lease}, view: &view{revision: 8}, wrote: 9, seen: seen}
	alarm, err := s.round(t.Context())
	if err != nil || !alarm.Equal(seen) || len(k.places) != 1 {
		t.Errorf("it has %d slots, and looks again at %s (%v)", len(k.places), alarm, err)
	}
}

func TestNothingIsKeptOfTypesThatNobodyAsksFor(t *testing.T) {
	l := &Limiter{wake: make(chan struct{}, 1), kinds: map[string]*kind{}}
	l.Want("a", 3) // it may be limited soon
	l.Want("b", 0)
	l.Want("a", 0)
	l.Set(map[string]Limit{"c": {N: 2}, "d": {N: -2}, "e": {N: maxN + 1}})
	if got := l.Stats(); len(l.kinds) != 2 || got["c"].N != 2 || got["e"].N != maxN {
		t.Errorf("it knows of %d types, %+v", len(l.kinds), got)
	}
	l.Set(nil)
	if len(l.kinds) != 0 {
		t.Errorf("it knows of %v", l.kinds)
	}
}
