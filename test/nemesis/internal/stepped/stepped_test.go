// Package stepped is only a test: one that is built with a clock that can be wrong, and is run as a process of its own.
package stepped

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/tasktier/tasktier/test/history"
	"github.com/tasktier/tasktier/test/internal/realtime"
)

// A reading is what the process sees when it is asked.
type reading struct {
	Wall, Real time.Time
	Written    time.Time     // when a history says that it is
	Monotonic  time.Duration // since its start
	Timer      time.Duration // how long one of 20 ms took
	Past       bool          // a context's deadline of an hour is over, by its own account
}

// TestMain answers each line with a reading.
func TestMain(*testing.M) {
	if err := answer(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer() error {
	dir, err := os.MkdirTemp("", "tasktier-stepped-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	events, err := history.Create(dir, "it")
	if err != nil {
		return err
	}
	defer events.Close()
	start := time.Now()
	deadline := start.Add(30 * time.Minute)
	in, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for in.Scan() {
		began := time.Now()
		<-time.After(20 * time.Millisecond)
		r := reading{Wall: time.Now(), Real: realtime.Now(), Monotonic: time.Since(start), Timer: time.Since(began), Past: time.Until(deadline) < 0}
		if err := events.Write(history.Event{Kind: history.Over}); err != nil {
			return err
		}
		for e, err := range history.Read(dir) {
			if err != nil {
				return err
			}
			r.Written = e.At.Time()
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return nil
}
