// Package realtime tells the time to processes whose clock may have been told to be wrong (see nemesis.Clock).
package realtime

import (
	"syscall"
	"time"
)

// Now is the time by the kernel's clock, to the microsecond. It has no monotonic part. Logs that are compared across
// processes take it in place of time.Now.
func Now() time.Time {
	var at syscall.Timeval
	if err := syscall.Gettimeofday(&at); err != nil {
		panic(err) // every Unix has this clock
	}
	return time.Unix(at.Unix())
}
