package simulation

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tasktier/tasktier/test/defects"
)

// plantedSeeds are those in which defects have to show. Most do in the first.
const plantedSeeds = "100-124"

// TestPlantedDefects shows that the checks of the simulation find what they are there for: it is built with each mistake of
// package defects that a simulation can reveal, and has to report it. The others are revealed in test/storm.
//
// A build takes longer than the simulations, so it runs only with DEFECTS: all, or names with commas in between.
func TestPlantedDefects(t *testing.T) {
	names := os.Getenv("DEFECTS")
	if names == "" {
		t.Skip("builds the simulation for each defect: ./check defects runs it, and ./check long does")
	}
	for _, d := range defects.All {
		if d.Report == "" || names != "all" && !slices.Contains(strings.Split(names, ","), d.Name) {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			report := regexp.MustCompile(d.Report)
			binary := filepath.Join(t.TempDir(), "simulation.test")
			if err := d.Build(t.Context(), "./test/simulation", binary, "-tags", "synctests"); err != nil {
				t.Fatal(err)
			}
			run := exec.CommandContext(t.Context(), binary, "-test.run=^TestSimulation$", "-test.failfast", "-test.timeout=5m")
			run.Env = append(os.Environ(), "TASKTIER_SEEDS="+plantedSeeds, "TASKTIER_SEEDS_HERE=1", "GOMAXPROCS=1")
			out, err := run.CombinedOutput()
			switch {
			case err == nil:
				t.Errorf("the simulation passes seeds %s with the defect", plantedSeeds)
			case !report.Match(out):
				t.Errorf("the simulation fails (%v), and reports nothing like %q:\n%s", err, d.Report, out)
			default:
				t.Logf("reported: %s", report.Find(out))
			}
		})
	}
}
