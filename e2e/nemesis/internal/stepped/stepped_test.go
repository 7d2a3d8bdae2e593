// Package stepped is only a test: one that is built with a clock that can be wrong, and is run as a process of its own.
package stepped

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/tasktier/tasktier/e2e/internal/realtime"
)

// A reading is what the process sees when it is asked.
type reading struct {
	Wall, Real time.Time
	Monotonic  time.Duration // since its start
	Timer      time.Duration // how long one of 20 ms took
	Past       bool          // a context's deadline of an hour is over, by its own account
}

// TestMain answers each line with a reading.
func TestMain(*testing.M) {
	start := time.Now()
	deadline := start.Add(30 * time.Minute)
	in, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for in.Scan() {
		began := time.Now()
		<-time.After(20 * time.Millisecond)
		r := reading{Wall: time.Now(), Real: realtime.Now(), Monotonic: time.Since(start), Timer: time.Since(began), Past: time.Until(deadline) < 0}
		if err := out.Encode(r); err != nil {
			os.Exit(1)
		}
	}
}
