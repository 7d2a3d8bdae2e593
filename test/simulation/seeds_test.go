package simulation

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv/race"
)

// seeds are those from one up to, and without, another.
type seeds struct{ from, to int }

const (
	// fewSeeds run by default.
	fewSeeds = 12
	// bundle is how many seeds a process runs, and so how many a crash ends.
	bundle = 25
)

// seedsToRun reads the environment, and reports whether there are so many seeds that several processes share them.
func seedsToRun(t *testing.T) (run seeds, spread bool) {
	t.Helper()
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			t.Fatalf("invalid seeds %q: must be a number such as \"5000\", or a range such as \"5000-5999\"", text)
		}
		return n
	}
	if one := os.Getenv("TASKTIER_SEED"); one != "" {
		n := number(one)
		return seeds{n, n + 1}, false
	}
	text := os.Getenv("TASKTIER_SEEDS")
	if text == "" {
		if race.On {
			return seeds{0, fewSeeds / 3}, false
		}
		return seeds{0, fewSeeds}, false
	}
	if from, to, ok := strings.Cut(text, "-"); ok {
		run = seeds{number(from), number(to) + 1}
	} else {
		run = seeds{0, number(text)}
	}
	return run, os.Getenv("TASKTIER_SEEDS_HERE") == "" && run.to-run.from > bundle
}

// spreadSeeds runs seeds in processes of one core each. Bubbles of one process are no faster side by side, and the runtime
// of Go 1.26 was seen to crash in a bubble's timer when several ran at once under the race detector.
func spreadSeeds(t *testing.T, all seeds) {
	began := time.Now()
	var next, failed atomic.Int64
	next.Store(int64(all.from))
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			for failed.Load() < 5 && t.Context().Err() == nil {
				from := int(next.Add(bundle)) - bundle
				if from >= all.to {
					return
				}
				run := seeds{from, min(from+bundle, all.to)}
				if out, err := runBundle(t, run); err != nil {
					failed.Add(1)
					t.Errorf("seeds %d-%d: %v\n%s", run.from, run.to-1, err, out)
				}
			}
		})
	}
	workers.Wait()
	took := time.Since(began)
	ran := min(int(next.Load()), all.to) - all.from
	t.Logf("%d seeds in %v: %.0f a minute", ran, took.Round(time.Second), float64(ran)/took.Minutes())
}

func runBundle(t *testing.T, run seeds) ([]byte, error) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSimulation$", "-test.timeout=10m") //nolint:gosec // this very binary
	cmd.Env = append(os.Environ(), fmt.Sprintf("TASKTIER_SEEDS=%d-%d", run.from, run.to-1), "TASKTIER_SEEDS_HERE=1", "GOMAXPROCS=1")
	out, err := cmd.CombinedOutput()
	const most = 200 << 10
	if len(out) > most {
		out = append(bytes.Clone(out[:most/2]), append([]byte("\n…\n"), out[len(out)-most/2:]...)...)
	}
	return out, err
}
