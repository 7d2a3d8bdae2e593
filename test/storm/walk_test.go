package storm

import (
	"context"
	"time"
)

// A walk goes along the tasks of a producer as they come due, or so much later.
type walk struct {
	producer int
	lag      time.Duration
	only     func(assignment) bool // nil: all
}

// beat is how often a walk looks at the clock.
const beat = 10 * time.Millisecond

// walk goes on from now until ctx ends or do fails.
func (l load) walk(ctx context.Context, walks []walk, do func(walk, assignment) error) error {
	next := make([]int, len(walks))
	for i, w := range walks {
		next[i] = l.by(time.Now().Add(-w.lag))
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for i, w := range walks {
			for until := l.by(time.Now().Add(-w.lag)); next[i] < until && ctx.Err() == nil; next[i]++ {
				a := l.assign(w.producer, next[i])
				if w.only != nil && !w.only(a) {
					continue
				}
				if err := do(w, a); err != nil {
					return err
				}
			}
		}
	}
}
