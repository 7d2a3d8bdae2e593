package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// limit is how long one side may run. The slowest takes half a minute on two cores.
const limit = 5 * time.Minute

// compare runs every side once a round, keeps the transcript, and brings the report up to date after each round.
func (o options) compare(ctx context.Context, binary, command string) (t transcript, err error) {
	var text strings.Builder
	var to io.Writer = &text
	if o.report.dir != "" {
		if err := os.MkdirAll(o.report.dir, 0o755); err != nil {
			return t, err
		}
		file, err := os.Create(filepath.Join(o.report.dir, transcriptFile))
		if err != nil {
			return t, err
		}
		defer file.Close()
		to = io.MultiWriter(&text, file)
	}
	fmt.Fprintf(to, "command: %s\n", strings.TrimSpace(command))
	machine(ctx, to)
	all := 0
	for _, p := range o.plans {
		all += o.rounds * len(p.sides)
	}
	begun, done := time.Now(), 0
	for round := 1; round <= o.rounds; round++ {
		for _, p := range o.plans {
			for _, s := range p.sides {
				done++
				n := max(2, int(float64(s.tasks)*o.scale))
				fmt.Fprintf(o.progress, "%6s  %d of %d: round %d, %s, %s, %s tasks\n", time.Since(begun).Round(time.Second), done, all,
					round, p.name, s.label, number(float64(n)))
				outcome := o.measure(ctx, binary, p, s.name, n)
				if ctx.Err() != nil {
					return t, ctx.Err()
				}
				fmt.Fprintf(o.progress, "        %s", outcome)
				if _, err := fmt.Fprintf(to, "run: %s %s %d\n%s", p.name, s.name, round, outcome); err != nil {
					return t, err
				}
			}
		}
		if t, err = read(strings.NewReader(text.String())); err != nil {
			return t, err
		}
		if o.report.dir != "" {
			if err := o.report.write(o.plans, t); err != nil {
				return t, err
			}
		}
	}
	return t, nil
}

// measure runs one side once, in a process of its own, and returns the outcome for the transcript.
func (o options) measure(ctx context.Context, binary string, p plan, side string, n int) string {
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("not done after %v", o.limit))
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^$", "-test.bench", "^"+p.benchmark()+"$/^"+side+"$",
		"-test.benchtime", fmt.Sprintf("%dx", n), "-test.timeout", "0")
	// The servers die with the process; an interrupt lets it end in order.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Env = append(os.Environ(), p.env...)
	// What servers say on their way up goes nowhere, as it would come in the middle of a line of results.
	output, err := cmd.Output()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return outcome(string(output), err)
}
