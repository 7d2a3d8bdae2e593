package storm

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/test/history"
	"github.com/tasktier/tasktier/test/nemesis"
	"github.com/tasktier/tasktier/test/overlay"
)

// TestStorm lets everything go wrong and accounts for every task: on all stages, or under -short for a minute on the single one.
// STORM_SEED repeats one; STORM=30m, with -timeout 90m, is the long one.
func TestStorm(t *testing.T) {
	seed := seedOf(t)
	t.Logf("seed %d: STORM_SEED=%d repeats it, as far as processes allow", seed, seed)
	rounds := onAllStages
	if testing.Short() {
		rounds = ofAMinute
	}
	if all := lengthOf(t); all > 0 {
		rounds = longStorm(all, withClocks(t))
	}
	var sum summary
	for i, r := range rounds {
		r.seed, r.mix, r.patience = seed+uint64(i), everything, restLimit
		t.Run(fmt.Sprintf("%d %s", i+1, r.kind), func(t *testing.T) {
			o := r.run(t)
			if o.err != nil {
				t.Errorf("the round of seed %d: %v", r.seed, o.err)
			}
			report, text := account(t, o.dir)
			t.Log(text)
			sum.add(t, r, o, report)
			if !report.OK() {
				t.Error("promises were broken")
			}
		})
	}
	t.Logf("seed %d\n%s", seed, sum.String())
}

// longStorm is rounds of five minutes on real servers, with a shorter one on the embedded stack after every two. That one has
// right clocks, because there a letter has the time that its writer says.
func longStorm(all time.Duration, binary string) []round {
	const lasts, rate = 5 * time.Minute, 300
	var rounds []round
	for i := 0; all > 0; i++ {
		r := round{kind: single, binary: binary, clocks: true, lasts: min(all, lasts), nodes: 5, rate: rate, longest: 2 * time.Minute}
		switch i % 3 {
		case 1:
			r.kind = clustered
		case 2:
			rounds = append(rounds, longOnEmbedded)
			continue
		}
		rounds = append(rounds, r)
		all -= r.lasts
	}
	return append(rounds, longOnEmbedded)
}

var (
	ofAMinute   = []round{{kind: single, lasts: 14 * time.Second, nodes: 3, rate: 100, longest: 8 * time.Second}}
	onAllStages = []round{
		{kind: inOneFolder, lasts: 15 * time.Second, nodes: 3, rate: 60, longest: 15 * time.Second},
		{kind: single, lasts: 30 * time.Second, nodes: 3, rate: 100, longest: 20 * time.Second},
		{kind: clustered, lasts: 25 * time.Second, nodes: 3, rate: 60, longest: 15 * time.Second},
	}
	longOnEmbedded = round{kind: inOneFolder, lasts: 2 * time.Minute, nodes: 4, rate: 100, longest: 20 * time.Second}
)

// withClocks builds the crew's binary anew, so that the clocks of nodes can be wrong.
func withClocks(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	patches, err := nemesis.ClockPatches()
	must(t, err)
	file, err := overlay.Write(dir, patches...)
	must(t, err)
	binary := filepath.Join(dir, "crew.test")
	must(t, overlay.Build(t.Context(), file, "./test/storm", binary))
	return binary
}

// account holds the history in dir to the promises. The text is the report for people.
func account(t *testing.T, dir string) (history.Report, string) {
	t.Helper()
	report, err := history.Check(history.Read(dir), history.Rules{Lease: leaseTTL})
	must(t, err)
	var text strings.Builder
	report.Print(&text)
	return report, text.String()
}

// lengthOf is how long STORM says that a storm is to be; 0: it says nothing.
func lengthOf(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("STORM")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	must(t, err)
	return d
}

// seedOf is what STORM_SEED says, or another one each time.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("STORM_SEED")
	if text == "" {
		return uint64(time.Now().UnixNano())
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	must(t, err)
	return seed
}
