package consumer

import "time"

const (
	// soon is how far ahead a task may be due to wait here; what is due later waits in the retry tiers.
	soon = 100 * time.Millisecond
	// minSnooze keeps a handler that snoozes for no time at all from turning in circles.
	minSnooze = 100 * time.Millisecond
	// maxInPlace bounds the delay before an attempt in place, for which a lane waits.
	maxInPlace = time.Minute
)

// putAside lets a turn wait for d, taking no slot; its lane waits with it. Such turns hold their place in the window and
// hold back their partition's watermark.
//
// started turns were at work, hold their lane, perhaps their claim, and go straight to the slots when their time has
// come. The others begin again, which reads the wall clock again: a timer alone might run ahead of it.
func (c *Consumer) putAside(t *turn, d time.Duration, started bool) {
	q := t.part.queue
	resume := func(t *turn) { c.begin(q, []*turn{t}) }
	d = min(d, q.Horizon)
	if started {
		c.rejoin(t)
		c.gates.leave(t)
		d = max(d, minSnooze)
		resume = func(t *turn) {
			switch {
			case !t.won():
				c.ready(q, t)
			case !c.slots.win(q.share, t):
				q.drop(t)
			}
		}
	}
	if !t.part.putAside(t, d, started, resume) {
		q.drop(t)
	}
}
