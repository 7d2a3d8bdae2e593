// Package bubble runs tests in a bubble of testing/synctest, on its clock: [Test] starts one, servers and clients in it
// communicate over a [Network], and a [Link] is the path of one client, which a test can cut. The servers are those of
// internal/testenv/inmemory.
package bubble

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tasktier/tasktier/internal/testenv/race"
)

// Test is [synctest.Test], on one processor when the race detector is on. All timers of a bubble have one context of the
// detector's (runtime/time.go, unlockAndRun of Go 1.26), and a goroutine that asks the channel of a timer that is due runs
// it: two that do so at once, on two processors, make the detector crash ("ThreadSanitizer: CHECK failed"), or wait for a
// lock for ever. It finds races by what happens before what, so one processor hides none that the test's order shows.
func Test(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if race.On {
		defer alone()()
	}
	synctest.Test(t, f) //nolint:forbidigo // this is the place for it
}

var (
	mu      sync.Mutex
	bubbles int
	before  int // processors
)

// alone takes all processors but one until the last that called it calls what it returned.
func alone() (end func()) {
	mu.Lock()
	defer mu.Unlock()
	if bubbles++; bubbles == 1 {
		before = runtime.GOMAXPROCS(1)
	}
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if bubbles--; bubbles == 0 {
			runtime.GOMAXPROCS(before)
		}
	}
}
