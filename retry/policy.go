package retry

import (
	"cmp"
	"errors"
	"math"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/tasktier/tasktier/task"
)

// A Policy says how often a task is tried and how long it waits in between: delays that double from Base up to Max, each
// drawn evenly between nothing and that (full jitter), so that what failed together does not come back together. A field
// that is zero has its value in [Default].
type Policy struct {
	// MaxAttempts is how often a task is tried, the first time included.
	MaxAttempts int
	// Base bounds the first delay.
	Base time.Duration
	// Max bounds every delay.
	Max time.Duration
}

// Default is the policy where nothing else is said: 25 attempts over about five days, delays up to 6 hours.
var Default = Policy{MaxAttempts: 25, Base: time.Second, Max: 6 * time.Hour}

// Over returns p with the zero fields taken from base.
func (p Policy) Over(base Policy) Policy {
	p.MaxAttempts = cmp.Or(p.MaxAttempts, base.MaxAttempts)
	p.Base = cmp.Or(p.Base, base.Base)
	p.Max = cmp.Or(p.Max, base.Max)
	return p
}

// Next says what becomes of a task whose attempt, the n-th, failed with err: its next attempt after delay, or none.
// A task may ask for fewer attempts than the policy (asked > 0), not for more. [task.Permanent] stops at once;
// [task.RetryAfter] names the delay itself, which Max does not bound.
func (p Policy) Next(attempt, asked int, err error) (delay time.Duration, again bool) {
	p = p.Over(Default)
	limit := p.MaxAttempts
	if asked > 0 {
		limit = min(limit, asked)
	}
	word := task.Word(err)
	var permanent *task.PermanentError
	if errors.As(word, &permanent) || attempt >= limit {
		return 0, false
	}
	var after *task.RetryAfterError
	if errors.As(word, &after) {
		return max(after.Delay, 0), true
	}
	return p.draw(attempt), true
}

// draw picks the delay after the n-th attempt.
func (p Policy) draw(attempt int) time.Duration {
	bound := float64(p.Base) * math.Pow(2, float64(max(attempt, 1)-1))
	if !(bound < float64(p.Max)) { // also when it overflowed
		bound = float64(p.Max)
	}
	// backoff draws evenly from interval ± factor × interval.
	b := backoff.ExponentialBackOff{InitialInterval: time.Duration(bound / 2), RandomizationFactor: 1, Multiplier: 1, MaxInterval: p.Max, Stop: backoff.Stop, Clock: backoff.SystemClock}
	b.Reset()
	return min(max(b.NextBackOff(), 0), p.Max)
}
