package lease_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ttl    = 10 * time.Second
	margin = 2 * time.Second
)

// after moves the clock and lets the timers that are due run.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func expect(t *testing.T, l *lease.Lease, trusted, done bool) {
	t.Helper()
	if l.Trusted() != trusted {
		t.Errorf("trusted: %v, want %v", l.Trusted(), trusted)
	}
	select {
	case <-l.Done():
		if !done {
			t.Error("it is done")
		}
	default:
		if done {
			t.Error("it is not done")
		}
	}
}

func TestUnregisteredIsNeitherTrustedNorDone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := lease.New("a")
		after(24 * time.Hour)
		expect(t, l, false, false)
		if l.ID() != "a" {
			t.Errorf("its id is %q", l.ID())
		}

		l.Trust(time.Now().Add(-time.Second)) // a confirmation that came too late to be one
		expect(t, l, false, false)

		l.Trust(time.Now().Add(ttl))
		expect(t, l, true, false)
		l.End()
	})
}

func TestTrustRunsOutForGood(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := lease.New("a")
		l.Trust(time.Now().Add(ttl))
		after(ttl - time.Nanosecond)
		expect(t, l, true, false)
		after(time.Nanosecond)
		expect(t, l, false, true)
		if cause := context.Cause(l.Context()); cause != lease.ErrExpired {
			t.Errorf("ended by %v", cause)
		}

		l.Trust(time.Now().Add(ttl))
		expect(t, l, false, true)
	})
}

func TestTrustIsExtendedAndNeverShortened(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := lease.New("a")
		start := time.Now()
		l.Trust(start.Add(ttl))
		l.Trust(start.Add(ttl / 2)) // replies may overtake each other
		after(ttl / 2)
		expect(t, l, true, false)
		l.Trust(start.Add(3 * ttl))
		after(2 * ttl)
		expect(t, l, true, false)
		after(ttl / 2)
		expect(t, l, false, true)
	})
}

func TestEnd(t *testing.T) {
	for name, given := range map[string]time.Duration{"trusted": ttl, "unregistered": 0} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				l := lease.New("a")
				l.Trust(time.Now().Add(given))
				l.End()
				expect(t, l, false, true)
				l.End()
				l.Trust(time.Now().Add(ttl))
				after(2 * ttl)
				expect(t, l, false, true)
				if cause := context.Cause(l.Context()); cause != lease.ErrEnded {
					t.Errorf("ended by %v", cause)
				}
			})
		})
	}
}

func TestAnotherMachinesClockGivesNoTrust(t *testing.T) {
	l := lease.New("a")
	l.Trust(time.Now().Add(time.Hour).Round(0)) // as it is after any way through a file or a network
	expect(t, l, false, false)
	l.Trust(time.Now().Add(time.Hour))
	expect(t, l, true, false)
	l.End()
}

func TestConcurrentUse(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		l := lease.New("a")
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for k := range 100 {
					l.Trust(time.Now().Add(time.Duration(i*k) * time.Millisecond))
					l.Trusted()
				}
			})
		}
		wg.Wait()
		after(time.Second)
		expect(t, l, false, true)
		if !errors.Is(context.Cause(l.Context()), lease.ErrExpired) {
			t.Error("ended by something else")
		}
	})
}

func BenchmarkTrusted(b *testing.B) {
	l := lease.New("a")
	l.Trust(time.Now().Add(time.Hour))
	defer l.End()
	for b.Loop() {
		l.Trusted()
	}
}
