package deadletter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/nap"
)

// A Canary is a few letters that are replayed first, to see what becomes of them. The others follow only if few enough
// of those die again.
type Canary struct {
	// Letters is how many. 0: no canary.
	Letters int
	// StopAt is the percentage, more than 0 and at most 100, of dead ones at which the replay stops. 0: 10.
	StopAt float64
	// Timeout is how long their ends are waited for; those that have not ended then count as dead. 0: 1 min.
	Timeout time.Duration
}

// A CanaryResult counts what became of a canary's letters.
type CanaryResult struct {
	// Letters were replayed: fewer than were asked for if there were no more, or some failed.
	Letters int `json:"letters"`
	// Succeeded, Dead and Canceled are how their tasks ended, and Waiting had not.
	Succeeded int `json:"succeeded"`
	Dead      int `json:"dead"`
	Canceled  int `json:"canceled,omitempty"`
	Waiting   int `json:"waiting"`
	// Retrying are those of Waiting that have failed and wait for another attempt.
	Retrying int `json:"retrying,omitempty"`
	// Stopped says that the others were not replayed.
	Stopped bool `json:"stopped"`
}

// ErrCanary is wrapped by the error of a replay that its canary stopped.
var ErrCanary = errors.New("the canary stopped the replay")

const (
	defaultStopAt        = 10
	defaultCanaryTimeout = time.Minute
	// The pause between two looks at a canary grows from minLook to maxLook.
	minLook = 20 * time.Millisecond
	maxLook = time.Second
)

func (c Canary) withDefaults() Canary {
	if c.StopAt == 0 {
		c.StopAt = defaultStopAt
	}
	if c.Timeout == 0 {
		c.Timeout = defaultCanaryTimeout
	}
	return c
}

func (c Canary) check() error {
	switch {
	case c.Letters < 0:
		return fmt.Errorf("the canary has %d letters", c.Letters)
	case !(c.StopAt > 0 && c.StopAt <= 100):
		return fmt.Errorf("the canary's StopAt is %v, must be more than 0 and at most 100", c.StopAt)
	case c.Timeout < 0:
		return fmt.Errorf("the canary's Timeout is %v", c.Timeout)
	}
	return nil
}

// A canary is one under way.
type canary struct {
	Canary

	mu    sync.Mutex
	birds map[claim.Identity]int // generation that was replayed
	over  bool
}

func newCanary(c Canary) canary { return canary{Canary: c, birds: make(map[claim.Identity]int)} }

// add takes a letter that is sent, while the canary is not full.
func (c *canary) add(l *Letter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over && len(c.birds) < c.Letters && l.hasIdentity() {
		c.birds[l.identity()] = l.Generation + 1
	}
}

// remove forgets a letter that could not be sent.
func (c *canary) remove(l *Letter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.birds, l.identity())
}

// left is how many of n letters may follow before the canary is full: all, if there is none or it is over.
func (c *canary) left(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.Letters == 0 {
		return n
	}
	return max(1, c.Letters-len(c.birds))
}

// full says whether all letters of the canary have been sent.
func (c *canary) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.over && c.Letters > 0 && len(c.birds) >= c.Letters
}

// flies says whether there is something to watch.
func (c *canary) flies() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.over && len(c.birds) > 0
}

// watch waits for the ends of the canary, until it is clear whether the replay goes on. It returns nil if it does.
func (r *replay) watch(ctx context.Context) error {
	if err := r.flight.empty(ctx); err != nil {
		return err
	}
	c := &r.canary
	c.mu.Lock()
	c.over = true
	ids := make([]claim.Identity, 0, len(c.birds))
	generations := make([]int, 0, len(c.birds))
	for id, g := range c.birds {
		ids, generations = append(ids, id), append(generations, g)
	}
	c.mu.Unlock()
	if len(ids) == 0 {
		return nil // each of them has failed, and that was told
	}
	deadline := time.Now().Add(c.Timeout)
	for pause := minLook; ; pause = min(pause*3/2, maxLook) {
		claims, err := r.claims(ctx, ids)
		if err != nil {
			return err
		}
		outcome := count(claims, generations)
		late := !time.Now().Before(deadline)
		stop, on := c.clear(outcome, late)
		outcome.Stopped = stop
		r.mu.Lock()
		r.result.Canary = &outcome
		r.mu.Unlock()
		switch {
		case stop:
			return fmt.Errorf("%w: of %d tasks %d died again, %d succeeded and %d had not ended%s; it stops at %g %%", ErrCanary,
				outcome.Letters, outcome.Dead, outcome.Succeeded, outcome.Waiting, after(late, c.Timeout), c.StopAt)
		case on:
			return nil
		}
		if !nap.For(ctx, min(pause, max(time.Until(deadline), time.Millisecond))) {
			return context.Cause(ctx)
		}
	}
}

func after(late bool, d time.Duration) string {
	if !late {
		return ""
	}
	return fmt.Sprintf(" after %v", d)
}

// count says what became of the generations that were replayed.
func count(claims []claim.Claim, generations []int) CanaryResult {
	result := CanaryResult{Letters: len(claims)}
	for i, c := range claims {
		switch {
		case c.State == claim.Canceled && c.Generation >= generations[i]:
			result.Canceled++
		case c.State != 0 && c.State != claim.Foreign && c.Generation > generations[i]:
			result.Dead++ // and somebody replayed it
		case c.Generation < generations[i]:
			result.Waiting++ // it has not begun
		case c.State == claim.Succeeded:
			result.Succeeded++
		case c.State == claim.Dead: // its letter is written
			result.Dead++
		default:
			if c.State == claim.Retrying {
				result.Retrying++
			}
			result.Waiting++
		}
	}
	return result
}

// clear says whether the replay stops or goes on whatever may still come; neither is so while that is open.
func (c *canary) clear(r CanaryResult, late bool) (stop, on bool) {
	share := func(n int) float64 { return 100 * float64(n) / float64(r.Letters) }
	switch {
	case share(r.Dead) >= c.StopAt:
		return true, false
	case share(r.Dead+r.Waiting) < c.StopAt:
		return false, true
	case late:
		return true, false
	}
	return false, false
}
