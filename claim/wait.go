package claim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/internal/nap"
)

const (
	// The pause between two looks grows from minLook to maxLook.
	minLook = 50 * time.Millisecond
	maxLook = time.Second
	// awayPatience is how long Redis may be away before waiting ends.
	awayPatience = 10 * time.Second
)

// Wait returns nil when all tasks have ended: succeeded, dead or canceled. ended is called for each, as soon as it is seen,
// by the goroutine of Wait. A task that is not known yet is waited for. The error is ctx's, wraps [ErrFormat] for a claim
// that a later version wrote, or says that Redis has not answered for 10 s.
func (s *Store) Wait(ctx context.Context, ids []Identity, ended func(Status)) error {
	left := make([]Identity, 0, len(ids))
	seen := make(map[Identity]bool, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			left = append(left, id)
		}
	}
	all := len(left)
	answered := time.Now()
	for pause := minLook; len(left) > 0; pause = min(pause*3/2, maxLook) {
		looks, err := s.look(ctx, left)
		switch {
		case err == nil:
			answered = time.Now()
			if left, err = s.sift(left, looks, ended); err != nil {
				return err
			}
		case ctx.Err() == nil && time.Since(answered) > awayPatience:
			return err
		}
		if len(left) > 0 && !nap.For(ctx, pause) {
			return fmt.Errorf("wait for tasks: %d of %d have not ended: %w", len(left), all, context.Cause(ctx))
		}
	}
	return nil
}

// sift tells of those that have ended and returns the others.
func (s *Store) sift(ids []Identity, looks []look, ended func(Status)) ([]Identity, error) {
	now := time.Now()
	left := ids[:0]
	for i, id := range ids {
		status, err := looks[i].status(id, now)
		switch {
		case errors.Is(err, ErrUnknown), err == nil && !status.State.Terminal():
			left = append(left, id)
		case err != nil:
			return nil, err
		default:
			ended(status)
		}
	}
	return left, nil
}
