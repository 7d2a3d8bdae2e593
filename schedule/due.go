package schedule

import (
	"time"

	"github.com/tasktier/tasktier/schedule/cron"
)

// A due is what is to be done about the ticks after one time and up to another.
type due struct {
	send []time.Time // the oldest first
	// dropped is the newest tick that is not made up for; zero: there is none.
	dropped time.Time
}

// ticksDue decides on the ticks after settled and up to now. What is no later than Grace is sent. Of older ones, which were
// missed, the newest are as m allows. The answer holds at most CatchUp ticks and a minute's.
func ticksDue(e cron.Expression, m Missed, settled, now time.Time) due {
	inTime := now.Add(-Grace - 1) // ticks after it are
	if settled.After(inTime) {
		inTime = settled
	}
	missed, _ := e.Newest(settled, inTime, m.limit()+1)
	inGrace, _ := e.Newest(inTime, now, int(Grace/time.Second)+1)

	var d due
	if len(missed) > m.limit() {
		d.dropped, missed = missed[0], missed[1:]
	}
	d.send = append(missed, inGrace...)
	return d
}
