package storm

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/test/defects"
	"github.com/tasktier/tasktier/test/history"
	"github.com/tasktier/tasktier/test/nemesis"
)

// chances is how often a scenario is played until it reveals its defect: whether it does is a matter of timing, too.
const chances = 3

// missedAtMost is the part of the planted defects, one in so many, that may be missed at all tries: each has a scenario that
// reveals it nearly always, and a busy machine can be in the way of one. One that is planted alone must be caught.
const missedAtMost = 6

// TestPlantedDefects shows that the checker finds what it is there for: the nodes are built with a mistake, and their history
// is to break a rule that the mistake is known to break. The product as it is passes the same scenario.
//
// It is statistical, and takes half a minute for each defect, so it runs only with DEFECTS, which names defects with commas in
// between, or is all, or rest: those that the simulation does not reveal, where it takes seconds and no luck. The report says at
// which try each was caught, and which were missed: a scenario that often misses its defect is too weak.
func TestPlantedDefects(t *testing.T) {
	names := os.Getenv("DEFECTS")
	if names == "" {
		t.Skip("takes a quarter of an hour, and is statistical: ./check defects runs it, and ./check long does")
	}
	var planted []string
	switch names {
	case "all", "rest":
		for _, d := range defects.All {
			if names == "all" || d.Report == "" {
				planted = append(planted, d.Name)
			}
		}
	default:
		planted = strings.Split(names, ",")
	}
	caught := &caught{tries: make(map[string]int)}
	t.Cleanup(func() { // when those that run in parallel have ended
		t.Log(caught)
		if n := caught.missed(); n > len(planted)/missedAtMost {
			t.Errorf("%d of %d defects were missed", n, len(planted))
		}
	})
	turns := make(chan struct{}, 2) // builds and stages at a time
	sound := make(map[string]bool)
	for _, name := range planted {
		d, err := defects.Named(name)
		must(t, err)
		in := revealing(t, name)
		sound[in] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			turns <- struct{}{}
			defer func() { <-turns }()
			binary := filepath.Join(t.TempDir(), "defect.test")
			must(t, d.Build(t.Context(), "./test/storm", binary))
			for try := 1; try <= chances; try++ {
				report := scenarios[in].play(t, binary, 30*time.Second)
				t.Logf("%s: %s: %v", name, in, report.Violated)
				if slices.ContainsFunc(d.Breaks, func(r history.Rule) bool { return report.Violated[r] > 0 }) {
					caught.at(name, try)
					return
				}
			}
			caught.at(name, missed)
			t.Logf("the checker reported nothing of %q in %d tries", d.Breaks, chances)
		})
	}
	for _, in := range slices.Sorted(maps.Keys(sound)) {
		t.Run("sound, "+in, func(t *testing.T) {
			t.Parallel()
			turns <- struct{}{}
			defer func() { <-turns }()
			if report := scenarios[in].play(t, "", restLimit); !report.OK() {
				t.Error("promises were broken")
			}
		})
	}
}

// caught says at which try each defect was.
type caught struct {
	mu    sync.Mutex
	tries map[string]int
}

const missed = 0 // in place of a try

// missed counts the defects that no try revealed.
func (c *caught) missed() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, try := range c.tries {
		if try == missed {
			n++
		}
	}
	return n
}

func (c *caught) at(defect string, try int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries[defect] = try
}

// String lists the tries, with the defects of each.
func (c *caught) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for try := range 1 + chances {
		var names []string
		for name, at := range c.tries {
			if at == try {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		what := fmt.Sprintf("caught at try %d", try)
		if try == missed {
			what = "missed"
		}
		fmt.Fprintf(&b, "%s: %d of %d: %s\n", what, len(names), len(c.tries), strings.Join(names, ", "))
	}
	return b.String()
}

// revealing is the scenario for a defect.
func revealing(t *testing.T, defect string) string {
	t.Helper()
	for name, s := range scenarios {
		if slices.Contains(s.reveals, defect) {
			return name
		}
	}
	t.Fatalf("no scenario reveals %q", defect)
	return ""
}

// Each defect is revealed by one scenario.
func TestEveryDefectHasAScenario(t *testing.T) {
	var revealed []string
	for _, s := range scenarios {
		revealed = append(revealed, s.reveals...)
	}
	for _, d := range defects.All {
		n := 0
		for _, name := range revealed {
			if name == d.Name {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d scenarios reveal %q, want one", n, d.Name)
		}
	}
	for _, name := range revealed {
		if _, err := defects.Named(name); err != nil {
			t.Error(err)
		}
	}
}

// play plays the scenario with a crew of that binary, and checks its history. A product with a defect may not come to rest,
// which is for the checker to say.
func (s scenario) play(t *testing.T, binary string, patience time.Duration) history.Report {
	t.Helper()
	r := round{
		kind: s.kind, binary: binary, seed: seedOf(t), nodes: 3, rate: s.rate, mix: s.mix, longest: 4 * time.Second, patience: patience,
	}
	r.script = func(on scene) (nemesis.Plan, error) {
		plan := s.script(on)
		plan.Seed = r.seed
		return plan, nil
	}
	o := r.run(t)
	if o.err != nil && binary == "" {
		t.Error(o.err)
	}
	report, text := account(t, o.dir)
	if !report.OK() || binary != "" {
		t.Log(text)
	}
	return report
}
