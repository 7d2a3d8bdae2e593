// Package nap waits between tries, and no longer than it should.
package nap

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Backoff is pauses between tries without end: from first to most, growing, and drawn around that. Its makers can change more
// by options. It is for one goroutine.
func Backoff(first, most time.Duration, more ...backoff.ExponentialBackOffOpts) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(append(more, backoff.WithInitialInterval(first), backoff.WithMaxInterval(most),
		backoff.WithMaxElapsedTime(0))...) // by default it would give up after a quarter of an hour
}

// For returns true after d, or false as soon as ctx ends.
func For(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
