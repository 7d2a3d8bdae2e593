package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
)

// A transcript is all that a comparison has found out. As text it is in the format of go's benchmarks, so that other tools
// read it too: lines "key: value", of which "run" names what follows, and the line that a benchmark printed, or "failed".
type transcript struct {
	facts []fact
	runs  []run
}

type fact struct{ key, value string }

// A run is one side, once. A failure that is not empty says why there are no values.
type run struct {
	plan, side string
	round      int
	values     map[string]float64
	failure    string
}

// fact is the value of a key, "" without it.
func (t transcript) fact(key string) string {
	for _, f := range t.facts {
		if f.key == key {
			return f.value
		}
	}
	return ""
}

// read reads a transcript.
func read(from io.Reader) (transcript, error) {
	var t transcript
	var r *run // whose outcome is to come
	lines := bufio.NewScanner(from)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		key, value, _ := strings.Cut(line, ": ")
		var err error
		switch {
		case key == "run":
			t.runs = append(t.runs, run{failure: "it was interrupted"})
			r = &t.runs[len(t.runs)-1]
			if _, err = fmt.Sscanf(value, "%s %s %d", &r.plan, &r.side, &r.round); err != nil {
				err = fmt.Errorf("want a plan, a side and a round: %w", err)
			}
		case key == "failed" && r != nil:
			r.failure = value
		case strings.HasPrefix(line, "Benchmark") && r != nil:
			r.failure = ""
			r.values, err = values(line)
		case line != "":
			t.facts = append(t.facts, fact{key, value})
		}
		if err != nil {
			return t, fmt.Errorf("read line %d, %q: %w", n, line, err)
		}
	}
	if err := lines.Err(); err != nil {
		return t, fmt.Errorf("read transcript: %w", err)
	}
	return t, nil
}

// values reads the line of a benchmark: name, count, and then pairs of value and unit.
func values(line string) (map[string]float64, error) {
	fields := strings.Fields(line)
	if len(fields) < 4 {
		return nil, errors.New("it has no values")
	}
	got := map[string]float64{}
	for i := 2; i+1 < len(fields); i += 2 {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return nil, err
		}
		got[fields[i+1]] = v
	}
	return got, nil
}

// outcome is what a run adds to the text: the benchmark's line in the output, or the failure.
func outcome(output string, err error) string {
	if err == nil {
		for line := range strings.Lines(output) {
			if !strings.HasPrefix(line, "Benchmark") {
				continue
			}
			if _, err = values(line); err == nil {
				return strings.TrimSpace(line) + "\n"
			}
		}
		err = errors.New("it reports no values")
	}
	// A test says in its own lines what is wrong, and then where.
	for line := range strings.Lines(output) {
		if _, said, ok := strings.Cut(strings.TrimSpace(line), "_test.go:"); ok {
			_, said, _ = strings.Cut(said, " ")
			return fmt.Sprintf("failed: %s\n", said)
		}
	}
	why := err.Error()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		first, _, _ := strings.Cut(string(exit.Stderr), "\n")
		why += ": " + first
	}
	return fmt.Sprintf("failed: %s\n", strings.Join(strings.Fields(why), " "))
}
