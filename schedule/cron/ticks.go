package cron

import (
	"slices"
	"time"
)

// Newest lists the ticks after one time and up to another, the oldest first. Of more than limit it lists the newest ones,
// and says that there were more. It takes no longer for a range of years than for one that holds limit ticks.
func (e Expression) Newest(after, until time.Time, limit int) (ticks []time.Time, more bool) {
	tick := e.Next(after)
	for !tick.IsZero() && !tick.After(until) {
		if len(ticks) == limit {
			return e.backwards(after, until, limit), true
		}
		ticks = append(ticks, tick)
		tick = e.Next(tick)
	}
	return ticks, false
}

// backwards is Newest where there are more than limit ticks.
func (e Expression) backwards(after, until time.Time, limit int) []time.Time {
	ticks := make([]time.Time, limit)
	for i := range slices.Backward(ticks) {
		ticks[i] = e.last(after, until)
		until = ticks[i].Add(-time.Second)
	}
	return ticks
}

// last is the newest tick after one time and up to another, where there is one. Expressions can only be asked what follows
// a time, so it is looked for by halves: between low and high there is a tick, between high and until there is none.
func (e Expression) last(after, until time.Time) time.Time {
	low, high := after, until
	for high.Sub(low) > time.Second {
		middle := low.Add(high.Sub(low) / 2)
		if tick := e.Next(middle); tick.IsZero() || tick.After(until) {
			high = middle
		} else {
			low = middle
		}
	}
	return e.Next(low)
}
