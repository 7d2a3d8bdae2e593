// Package nap waits, and no longer than it should.
package nap

import (
	"context"
	"time"
)

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
