package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, r report, text string) {
	t.Helper()
	if err := os.WriteFile(r.file(), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func contentsOf(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestReportKeepsWhatAPersonWrote(t *testing.T) {
	r := report{dir: t.TempDir()}
	write(t, r, "# Ours\n<!-- run -->\nold\n<!-- /run -->\nBefore.\n<!-- process -->\nold\n<!-- /process -->\nAfter.\n")
	which := []plan{race}
	for range 2 { // the second time over its own output
		if err := r.write(which, parsed(t, "command: make it\nmachine: a clock\ndate: today\nversion: Go 1.26.0\n"+some)); err != nil {
			t.Fatal(err)
		}
	}
	want := `# Ours
<!-- run -->

Rounds: 3, on a clock, on today. Tables show medians, with least and most in brackets. Repeat it in ` + "`bench`" + ` with

    make it

|  |  |
| --- | --- |
| Go | 1.26.0 |

<!-- /run -->
Before.
<!-- process -->

![A race](images/benchmark-process.svg)

|  | tasks/s | × Slow | allocations | absent |
| --- | ---: | ---: | ---: | ---: |
| Fast | **1,000** (600 – 4,000) | 9 | 17 |  |
| Slow | **300** (100 – 500) | 1 | 17 |  |

What failed, and is not in these figures:

- Slow, round 2: it was late

<!-- /process -->
After.
`
	if got := contentsOf(t, r.file()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if svg := contentsOf(t, r.dir, "images", "benchmark-process.svg"); !strings.Contains(svg, "A race") {
		t.Error("the plot is not there")
	}
	if _, err := os.Stat(filepath.Join(r.dir, "images", "benchmark-process.png")); err == nil {
		t.Error("nobody asked for the PNG")
	}
}

func TestReportBegins(t *testing.T) {
	r := report{dir: t.TempDir(), png: true}
	if err := r.write([]plan{race}, parsed(t, some)); err != nil {
		t.Fatal(err)
	}
	if got := contentsOf(t, r.file()); !strings.Contains(got, "## A race") || !strings.Contains(got, "| Fast |") {
		t.Errorf("got\n%s", got)
	}
	contentsOf(t, r.dir, "images", "benchmark-process.png")
}

func TestAReportIsOfOneRun(t *testing.T) {
	r := report{dir: t.TempDir()}
	if err := r.check(plans); err != nil {
		t.Error("refused to begin:", err)
	}
	write(t, r, "<!-- run -->\n<!-- /run -->\n<!-- process -->\n<!-- /process -->\n<!-- replay -->\n<!-- /replay -->\n")
	if err := r.check(plans[:1]); err == nil || !strings.Contains(err.Error(), "no section") {
		t.Error("a plan that has no section there:", err)
	}
	if err := r.check(plans[1:2]); err == nil || !strings.Contains(err.Error(), "it shows replay too") {
		t.Error("a plan that would be left as it is:", err)
	}
}

// TestTheReportOfTheRepository: docs/benchmarks.md is what `-bench all -out ../docs` fills in.
func TestTheReportOfTheRepository(t *testing.T) {
	r := report{dir: "../../../docs"}
	if err := r.check(plans); err != nil {
		t.Error(err)
	}
	contentsOf(t, r.file())
}
