package coord

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

const askedTTL = 10 * time.Second

// kept runs keep, on a session that was just registered, against an etcd that answers as told. It returns how long after
// the sending of the last confirmed keepalive the lease ended, and why.
func kept(t *testing.T, healthy func() error, answer func(ctx context.Context, n int) (time.Duration, error)) (after time.Duration, why error) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		p, l, n := newPace(askedTTL), lease.New("s"), 0
		confirmed := time.Now()
		l.Trust(p.confirmed(confirmed, askedTTL))
		context.AfterFunc(l.Context(), func() { after = time.Since(confirmed) })
		why = p.keep(t.Context(), l, confirmed, healthy, func(ctx context.Context) (time.Duration, error) {
			n++
			sent := time.Now()
			granted, err := answer(ctx, n)
			if err == nil && l.Trusted() {
				confirmed = sent
			}
			return granted, err
		}, func(error) {})
		synctest.Wait()
		<-l.Done()
		if l.Trusted() {
			t.Error("the lease is done and trusted")
		}
	})
	return after, why
}

func always() error { return nil }

func silence(ctx context.Context) (time.Duration, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestTrustCountsFromWhenAConfirmedKeepaliveWasSent(t *testing.T) {
	refused := errors.New("refused")
	tests := []struct {
		name   string
		answer func(ctx context.Context, n int) (time.Duration, error)
		after  time.Duration // from the sending of the last confirmed one
	}{
		{"no reply at all", func(ctx context.Context, _ int) (time.Duration, error) { return silence(ctx) }, 8 * time.Second},
		{"all refused", func(context.Context, int) (time.Duration, error) { return 0, refused }, 8 * time.Second},
		{"no reply after the third", func(ctx context.Context, n int) (time.Duration, error) {
			if n > 3 {
				return silence(ctx)
			}
			return askedTTL, nil
		}, 8 * time.Second},
		{"slow replies, then none", func(ctx context.Context, n int) (time.Duration, error) {
			if n > 20 {
				return silence(ctx)
			}
			time.Sleep(2400 * time.Millisecond)
			return askedTTL, nil
		}, 8 * time.Second},
		{"one of three is confirmed", func(ctx context.Context, n int) (time.Duration, error) {
			switch {
			case n > 30:
				return silence(ctx)
			case n%3 == 0:
				return askedTTL, nil
			}
			return 0, refused
		}, 8 * time.Second},
		{"a longer TTL than asked for", func(ctx context.Context, n int) (time.Duration, error) {
			if n > 3 {
				return silence(ctx)
			}
			return 2 * askedTTL, nil
		}, 8 * time.Second},
		{"a shorter TTL than asked for", func(ctx context.Context, n int) (time.Duration, error) {
			if n > 3 {
				return silence(ctx)
			}
			return askedTTL - time.Second, nil
		}, 7 * time.Second},
		{"a reply after the trust has run out", func(_ context.Context, n int) (time.Duration, error) {
			if n == 3 {
				time.Sleep(time.Minute)
			}
			return askedTTL, nil
		}, 8 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			after, why := kept(t, always, tt.answer)
			if !errors.Is(why, lease.ErrExpired) {
				t.Errorf("ended by %v", why)
			}
			if after != tt.after {
				t.Errorf("ended %s after the last confirmed keepalive was sent, want %s", after, tt.after)
			}
		})
	}
}

func TestLeaseThatEtcdDoesNotKnowEndsAtOnce(t *testing.T) {
	after, why := kept(t, always, func(context.Context, int) (time.Duration, error) { return 0, rpctypes.ErrLeaseNotFound })
	if !errors.Is(why, rpctypes.ErrLeaseNotFound) {
		t.Errorf("ended by %v", why)
	}
	if after > askedTTL/3 {
		t.Errorf("it took %s, more than the first keepalive", after)
	}
}

// A session is renewed only while the process makes progress; a keepalive of its own would hide that the process is
// stuck. Pitfall 37 of docs/pitfalls.md.
func TestWedgedProcessIsNotKeptAlive(t *testing.T) {
	wedged := errors.New("queue tasks was not polled for 20s")
	start := time.Time{}
	after, why := kept(t, func() error {
		if start.IsZero() {
			start = time.Now()
		}
		if time.Since(start) > 20*time.Second {
			return wedged
		}
		return nil
	}, func(_ context.Context, n int) (time.Duration, error) {
		if n > 100 {
			return 0, rpctypes.ErrLeaseNotFound // or a wedged process would be kept alive for ever
		}
		return askedTTL, nil
	})
	if !errors.Is(why, wedged) || !errors.Is(why, lease.ErrExpired) {
		t.Errorf("ended by %v", why)
	}
	if after != 8*time.Second {
		t.Errorf("ended %s after the last keepalive, want 8s", after)
	}
}

func TestShortTroubleCostsNothing(t *testing.T) {
	asked := 0
	_, why := kept(t, func() error {
		if asked++; asked%5 != 0 { // four tries in a row, half a second apart
			return errors.New("busy")
		}
		return nil
	}, func(_ context.Context, n int) (time.Duration, error) {
		if n < 100 {
			return askedTTL, nil
		}
		return 0, rpctypes.ErrLeaseNotFound
	})
	if !errors.Is(why, rpctypes.ErrLeaseNotFound) {
		t.Errorf("ended by %v", why)
	}
}

func TestKeepEndsWithItsContext(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p, l, start := newPace(askedTTL), lease.New("s"), time.Now()
		l.Trust(start.Add(askedTTL))
		defer l.End()
		ctx, cancel := context.WithTimeout(t.Context(), p.every+time.Second)
		defer cancel()
		_ = p.keep(ctx, l, start, always, silence, func(error) {})
		if took := time.Since(start); took != p.every+time.Second {
			t.Errorf("it took %s", took)
		}
		if !l.Trusted() {
			t.Error("it ended the lease, which is for its caller to do")
		}
	})
}

// What etcd answered late has little trust left: a keepalive that came as usual would come too late.
func TestSlowRegistrationIsConfirmedAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p, l, sent := newPace(askedTTL), lease.New("s"), time.Now()
		time.Sleep(p.attempt)
		l.Trust(p.confirmed(sent, askedTTL))
		registered := time.Now()
		_ = p.keep(t.Context(), l, sent, always, func(context.Context) (time.Duration, error) {
			if took := time.Since(registered); took > 0 {
				t.Errorf("the first keepalive came %s later", took)
			}
			return 0, rpctypes.ErrLeaseNotFound
		}, func(error) {})
	})
}

func TestPace(t *testing.T) {
	for _, ttl := range []time.Duration{minTTL, 3 * time.Second, defaultTTL, time.Minute} {
		p := newPace(ttl)
		if p.trust > ttl-500*time.Millisecond || p.trust > ttl*4/5 {
			t.Errorf("TTL %s: a trust of %s leaves no margin", ttl, p.trust)
		}
		// One that hangs is followed by another one, which has time to be answered.
		if p.every+p.bound+p.again+ttl/10 > p.trust {
			t.Errorf("TTL %s: the first keepalive that is lost ends the session", ttl)
		}
		for range 100 {
			if next := p.next(); next > p.every || next < p.every*4/5 {
				t.Errorf("TTL %s: the next keepalive is in %s", ttl, next)
			}
		}
	}
}
