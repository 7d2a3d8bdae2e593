package testenv

import (
	"context"
	"time"
)

// poll calls try every 10 ms until it returns nil or ctx ends, and returns its
// last error then.
func poll(ctx context.Context, try func() error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
