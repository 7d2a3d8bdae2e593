// Package throttle keeps a trouble that lasts from filling the log.
package throttle

import (
	"sync/atomic"
	"time"
)

// Every is the time between two events that are let through.
const Every = 30 * time.Second

// A Throttle lets one event through per [Every], and the first. The zero value is ready for use, by several goroutines.
type Throttle struct{ last atomic.Int64 } // Unix nanoseconds

// Allow says whether this event is let through.
func (t *Throttle) Allow() bool {
	now, last := time.Now().UnixNano(), t.last.Load()
	return now-last > int64(Every) && t.last.CompareAndSwap(last, now)
}
