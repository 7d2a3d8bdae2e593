package coord

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// A pace is the times of a session, all derived from its TTL. Package documentation says why.
type pace struct {
	ttl     time.Duration // asked of etcd
	trust   time.Duration // from the sending of a request that is then confirmed
	every   time.Duration // between the sending of two keepalives, at most
	bound   time.Duration // of one keepalive
	again   time.Duration // after one that failed
	attempt time.Duration // bounds a try to register
	pause   time.Duration // between two tries, at most
}

func newPace(ttl time.Duration) pace {
	return pace{
		ttl:   ttl,
		trust: ttl - max(ttl/5, 500*time.Millisecond),
		every: ttl / 3, bound: ttl / 4, again: ttl / 20,
		attempt: ttl / 2, pause: ttl / 5,
	}
}

// confirmed is the end of the trust that comes from a request sent at that time, when etcd says what TTL it has granted.
// A longer one than asked for is not counted on, though others will wait for it.
func (p pace) confirmed(sent time.Time, granted time.Duration) time.Time {
	return sent.Add(p.trust - max(p.ttl-granted, 0))
}

// keep keeps a lease alive until ctx ends or the lease does, and returns why. sent is when the request was sent that its
// trust comes from. renew sends one keepalive and returns the TTL that etcd has granted; healthy is asked before. noted
// hears of each that failed.
func (p pace) keep(ctx context.Context, l *lease.Lease, sent time.Time, healthy func() error, renew func(context.Context) (time.Duration, error), noted func(error)) error {
	var last error
	timer := time.NewTimer(p.next() - time.Since(sent)) // a slow reply has used up some of the trust already
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.Done():
			if last != nil {
				return fmt.Errorf("%w: %w", context.Cause(l.Context()), last)
			}
			return context.Cause(l.Context())
		case <-timer.C:
		}
		sent = time.Now()
		err := p.once(ctx, l, healthy, renew)
		switch {
		case err == nil:
			last = nil
			timer.Reset(p.next() - time.Since(sent))
			continue
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			l.End()
			return err
		case l.Context().Err() != nil && last != nil:
			continue // canceled as the lease ended: the one before tells why
		}
		last = err
		noted(last)
		timer.Reset(p.again)
	}
}

func (p pace) once(ctx context.Context, l *lease.Lease, healthy func() error, renew func(context.Context) (time.Duration, error)) error {
	if err := healthy(); err != nil {
		return unhealthy(err)
	}
	ctx, cancel := context.WithTimeout(ctx, p.bound)
	defer cancel()
	// Without the lease there is nothing to renew, and its loss is not to be noticed late.
	defer context.AfterFunc(l.Context(), cancel)()
	sent := time.Now()
	granted, err := renew(ctx)
	if err != nil {
		return fmt.Errorf("keep session alive: %w", err)
	}
	l.Trust(p.confirmed(sent, granted))
	return nil
}

// next is the time to the next keepalive: not the same for all nodes that started together.
func (p pace) next() time.Duration { return p.every - rand.N(p.every/5) }

func unhealthy(cause error) error {
	return fmt.Errorf("this process makes no progress: %w", cause)
}
