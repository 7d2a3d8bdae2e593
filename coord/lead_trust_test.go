package coord

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
)

// What a leader does ends with the trust in its session, which the lease of etcd outlives by the margin.
func TestDutyEndsWithTheTrust(t *testing.T) {
	stop := errors.New("told to stop")
	for _, tt := range []struct {
		name  string
		then  func(l *lease.Lease, p pace, asked time.Time, cancel context.CancelCauseFunc)
		after time.Duration
		why   error
	}{
		{"no keepalive is confirmed", func(*lease.Lease, pace, time.Time, context.CancelCauseFunc) {}, 8 * time.Second, lease.ErrExpired},
		{"one is", func(l *lease.Lease, p pace, asked time.Time, _ context.CancelCauseFunc) {
			time.AfterFunc(5*time.Second, func() { l.Trust(p.confirmed(asked.Add(3*time.Second), askedTTL)) })
		}, 11 * time.Second, lease.ErrExpired},
		{"one is too late", func(l *lease.Lease, p pace, asked time.Time, _ context.CancelCauseFunc) {
			time.AfterFunc(9*time.Second, func() { l.Trust(p.confirmed(asked.Add(3*time.Second), askedTTL)) })
		}, 8 * time.Second, lease.ErrExpired},
		{"the session is ended", func(l *lease.Lease, _ pace, _ time.Time, _ context.CancelCauseFunc) {
			time.AfterFunc(2*time.Second, l.End)
		}, 2 * time.Second, lease.ErrEnded},
		{"it is told to stop", func(_ *lease.Lease, _ pace, _ time.Time, cancel context.CancelCauseFunc) {
			time.AfterFunc(2*time.Second, func() { cancel(stop) })
		}, 2 * time.Second, stop},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				p, l, asked := newPace(askedTTL), lease.New("s"), time.Now()
				defer l.End()
				l.Trust(p.confirmed(asked, askedTTL))
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				within, done := (&session{lease: l}).within(ctx)
				defer done()
				tt.then(l, p, asked, cancel)
				<-within.Done()
				if took := time.Since(asked); took != tt.after {
					t.Errorf("it ended after %s, want %s", took, tt.after)
				}
				if why := context.Cause(within); !errors.Is(why, tt.why) {
					t.Errorf("it ended because %v, want %v", why, tt.why)
				}
			})
		})
	}
}

func TestNamesOfDuties(t *testing.T) {
	for name, valid := range map[string]bool{"schedules.mail-1_a": true, "T": true, "": false, "a/b": false, "a b": false, "ä": false} {
		if validDuty(name) != valid {
			t.Errorf("%q: valid is %v", name, !valid)
		}
	}
}
