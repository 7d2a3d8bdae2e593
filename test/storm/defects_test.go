package storm

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/test/defects"
	"github.com/tasktier/tasktier/test/history"
	"github.com/tasktier/tasktier/test/nemesis"
)

// usual are the defects that are planted unless DEFECTS names others, with commas in between, or all.
var usual = []string{"steal without liveness check", "forward without due check", "tombstone before acknowledgement"}

// chances is how often a scenario is played until it reveals its defect: whether it does is a matter of timing, too.
const chances = 3

// TestPlantedDefects shows that the checker finds what it is there for: the nodes are built with a mistake, and their history
// is to break a rule that the mistake is known to break. The product as it is passes the same scenario.
func TestPlantedDefects(t *testing.T) {
	planted := usual
	switch names := os.Getenv("DEFECTS"); names {
	case "":
	case "all":
		planted = nil
		for _, d := range defects.All {
			planted = append(planted, d.Name)
		}
	default:
		planted = strings.Split(names, ",")
	}
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
			for chance := 1; ; chance++ {
				report := scenarios[in].play(t, binary, 30*time.Second)
				t.Logf("%s: %s: %v", name, in, report.Violated)
				if slices.ContainsFunc(d.Breaks, func(r history.Rule) bool { return report.Violated[r] > 0 }) {
					break
				}
				if chance == chances {
					t.Errorf("the checker reports %v, and nothing of %q", report.Violated, d.Breaks)
					break
				}
			}
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

// TestEveryDefectHasAScenario looks at those that are not planted today.
func TestEveryDefectHasAScenario(t *testing.T) {
	for _, d := range defects.All {
		revealing(t, d.Name)
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
