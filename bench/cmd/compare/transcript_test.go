package main

import (
	"errors"
	"os/exec"
	"reflect"
	"strings"
	"testing"
)

const example = `command: go run ./cmd/compare -rounds 2
machine: 2 cores of nothing: a test
version: Go 1.26.0
run: process asynq 1
BenchmarkProcess/asynq-4-servers-2 	   20000	     17.00 own-cpu-us/task	   11700 tasks/s	  94 allocs/op
run: process river 1
failed: ended after 3 of 20000 tasks: no route
run: process river 2
`

func TestTranscriptIsRead(t *testing.T) {
	got, err := read(strings.NewReader(example))
	if err != nil {
		t.Fatal(err)
	}
	want := transcript{
		facts: []fact{
			{"command", "go run ./cmd/compare -rounds 2"}, {"machine", "2 cores of nothing: a test"}, {"version", "Go 1.26.0"},
		},
		runs: []run{
			{plan: "process", side: "asynq", round: 1, values: map[string]float64{"own-cpu-us/task": 17, "tasks/s": 11_700, "allocs/op": 94}},
			{plan: "process", side: "river", round: 1, failure: "ended after 3 of 20000 tasks: no route"},
			{plan: "process", side: "river", round: 2, failure: "it was interrupted"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if got.fact("machine") != "2 cores of nothing: a test" || got.fact("weather") != "" {
		t.Errorf("the machine is %q and the weather %q", got.fact("machine"), got.fact("weather"))
	}
}

func TestABrokenTranscriptIsRefused(t *testing.T) {
	for _, text := range []string{"run: process\n", "run: process asynq one\n", "run: process asynq 1\nBenchmarkProcess/asynq 1 many tasks/s\n"} {
		if got, err := read(strings.NewReader(text)); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func TestOutcomeIsTheResultOrTheReason(t *testing.T) {
	_, exit := exec.CommandContext(t.Context(), "sh", "-c", "echo no broker today >&2; exit 3").Output()
	for _, tt := range []struct {
		name, output string
		err          error
		want         string
	}{
		{"result", "goos: linux\nBenchmarkProcess/asynq-2 \t 20000\t 11700 tasks/s\nPASS\n", nil, "BenchmarkProcess/asynq-2 \t 20000\t 11700 tasks/s\n"},
		{"result, then a failure", "BenchmarkProcess/asynq-2 \t 2\t 1 tasks/s\n--- FAIL: BenchmarkProcess\n    enqueue_test.go:61: 3 tasks are in, want 4\n", exit, "failed: 3 tasks are in, want 4\n"},
		{"nothing was run", "goos: linux\nPASS\n", nil, "failed: it reports no values\n"},
		{"no values", "BenchmarkProcess/asynq-2 \t 1\n", nil, "failed: it reports no values\n"},
		{"no numbers", "BenchmarkProcess/asynq-2 \t 20000\t many tasks/s\n", nil, "failed: it reports no values\n"},
		{"died", "goos: linux\n", exit, "failed: exit status 3: no broker today\n"},
		{"several lines", "", errors.New("not\n\tdone"), "failed: not done\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := outcome(tt.output, tt.err); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
