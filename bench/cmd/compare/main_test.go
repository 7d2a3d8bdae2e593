package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// fake is a benchmark program in which River breaks down and Watermill hangs.
const fake = `#!/bin/sh
case "$4" in
*river*) echo "    river_test.go:7: no connection"; exit 1 ;;
*watermill*) exec sleep 60 ;;
esac
echo "BenchmarkReplay/side-2 20 1000 tasks/s"
`

func TestOneSideThatFailsStopsNoOther(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "fake")
	if err := os.WriteFile(binary, []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	o, err := parse([]string{"-bench", "replay", "-rounds", "2", "-sides", "river,asynq,watermill", "-out", t.TempDir()}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	o.limit = 1500 * time.Millisecond
	got, err := o.compare(t.Context(), binary, "test it")
	if err != nil {
		t.Fatal(err)
	}
	var order, failed []string
	for _, r := range got.runs {
		order = append(order, r.side)
		if r.failure != "" {
			failed = append(failed, r.side+": "+r.failure)
		}
	}
	if all := strings.Join(order, " "); all != "watermill asynq river watermill asynq river" {
		t.Error("the runs were", all)
	}
	const want = "watermill: not done after 1.5s, river: no connection, watermill: not done after 1.5s, river: no connection"
	if all := strings.Join(failed, ", "); all != want {
		t.Error("failed:", all)
	}
	report := contentsOf(t, o.report.file())
	for _, part := range []string{"test it", "| asynq, RunAllArchivedTasks | **1,000** |", "- River, JobRetryTx, round 2: no connection"} {
		if !strings.Contains(report, part) {
			t.Errorf("the report does not say %q:\n%s", part, report)
		}
	}
	// What it found can be shown again.
	var out strings.Builder
	again := []string{"-bench", "replay", "-from", filepath.Join(o.report.dir, transcriptFile)}
	if err := start(t.Context(), again, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "| asynq, RunAllArchivedTasks | **1,000**") {
		t.Errorf("got\n%s", out.String())
	}
	elsewhere := t.TempDir()
	if err := start(t.Context(), append(again, "-out", elsewhere), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{reportFile, transcriptFile} {
		if contentsOf(t, elsewhere, file) != contentsOf(t, o.report.dir, file) {
			t.Errorf("%s is another one, made again", file)
		}
	}
}

func TestWhatCannotBeRunIsRefused(t *testing.T) {
	for _, args := range [][]string{
		{"-bench", "proces"}, {"-bench", "process", "-sides", "celery"}, {"-rounds", "0"}, {"-scale", "0"}, {"process"},
	} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}

// TestPlansNameWhatThereIs: every benchmark is one of the bench package, and has the sides.
func TestPlansNameWhatThereIs(t *testing.T) {
	for _, p := range plans {
		source := contentsOf(t, "../..", p.name+"_test.go")
		if !strings.Contains(source, "func "+p.benchmark()+"(b *testing.B)") {
			t.Errorf("there is no %s", p.benchmark())
		}
		for _, s := range p.sides {
			if !regexp.MustCompile(`\{"` + s.name + `", .*open`).MatchString(source) {
				t.Errorf("%s has no %s", p.benchmark(), s.name)
			}
		}
		for _, base := range p.bases {
			if p.label(base) == base {
				t.Errorf("%s is compared with %s, which takes no part", p.name, base)
			}
		}
	}
}
