// Command compare runs a benchmark of this module several times and prints what came out as Markdown: the least, the median
// and the most of every side, ratios, and the machine. In each round every side runs once, in a process of its own with
// fresh servers, so that neither the order nor a bad minute of the machine favours one.
//
//	go run ./cmd/compare
//	go run ./cmd/compare -bench latency -rounds 3
//	go run ./cmd/compare -bench lateness -rounds 1
//	go run ./cmd/compare -scale 0.1               a look, with a tenth of the tasks
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// A plan is a benchmark and the sides that take part.
type plan struct {
	benchmark string
	sides     []side
	units     []string // shown as least, median and most
	steady    []string // units that hardly vary: shown as median
	bases     []string // sides to which the others' ratio of the first unit is shown
	env       []string
}

// A side runs with so many tasks that it takes some seconds.
type side struct {
	name  string
	tasks int
}

var plans = map[string]plan{
	"process": {
		benchmark: "BenchmarkProcess",
		sides: []side{
			{"bare", 1_000_000}, {"bare-claims", 500_000}, {"tasktier", 1_000_000},
			{"tasktier-claims", 500_000}, {"asynq", 100_000}, {"asynq-4-servers", 100_000}, {"river", 100_000},
		},
		units:  []string{"tasks/s"},
		steady: []string{"allocs/op", "B/op", "redis-calls/task", "redis-cpu-us/task"},
		bases:  []string{"bare", "bare-claims", "asynq", "river"},
	},
	"latency": {
		benchmark: "BenchmarkLatency",
		sides: []side{
			{"bare", 2000}, {"bare-claims", 2000}, {"tasktier", 2000}, {"tasktier-claims", 2000},
			{"asynq", 2000}, {"asynq-defaults", 2000}, {"river", 2000}, {"river-defaults", 2000},
		},
		units: []string{"ms-p50", "ms-p99", "ms-max"},
		env:   []string{"BENCH_LIGHT=1000000"}, // the number of tasks alone decides
	},
	"lateness": {
		benchmark: "BenchmarkLateness",
		sides:     []side{{"tasktier-claims", 20_000}, {"asynq", 20_000}, {"asynq-defaults", 20_000}, {"river", 20_000}},
		units:     []string{"ms-p50", "ms-p99", "ms-max"},
		steady:    []string{"early", "%<=5ms", "%<=20ms", "%<=100ms", "%<=1s"},
		env:       []string{"BENCH_DELAYED=1000000", "BENCH_DELAY=1m"},
	},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(progress)
	which := flags.String("bench", "process", "what to run: process, latency or lateness")
	rounds := flags.Int("rounds", 5, "how often each side runs")
	scale := flags.Float64("scale", 1, "factor for the number of tasks")
	only := flags.String("sides", "", "sides to run, with commas between them; empty: all")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p, ok := plans[*which]
	if !ok || *rounds < 1 || *scale <= 0 {
		return errors.New("-bench is process, latency or lateness, -rounds at least 1, -scale above 0")
	}
	if *only != "" {
		names := strings.Split(*only, ",")
		p.sides = slices.DeleteFunc(slices.Clone(p.sides), func(s side) bool { return !slices.Contains(names, s.name) })
	}
	dir, err := os.MkdirTemp("", "tasktier-compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "bench.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "github.com/tasktier/tasktier/bench")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the benchmarks: %w:\n%s", err, output)
	}
	got := results{}
	for round := range *rounds {
		for _, s := range p.sides {
			n := max(2, int(float64(s.tasks)**scale))
			fmt.Fprintf(progress, "round %d of %d: %s, %d tasks\n", round+1, *rounds, s.name, n)
			if err := measure(ctx, binary, p, s.name, n, got); err != nil {
				return err
			}
		}
	}
	machine(ctx, out)
	got.markdown(out, p)
	return nil
}

// measure runs one side once, in a process of its own, and adds what it reports to got.
func measure(ctx context.Context, binary string, p plan, name string, n int, got results) error {
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^$", "-test.bench", "^"+p.benchmark+"$/^"+name+"$",
		"-test.benchtime", fmt.Sprintf("%dx", n), "-test.timeout", "30m")
	// The servers die with the process; an interrupt lets it end in order.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(os.Environ(), p.env...)
	// What servers say on their way up goes to another place, as it would come in the middle of a line of results.
	var output, said strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &said
	err := cmd.Run()
	if err == nil {
		err = got.add(name, output.String())
	}
	if err != nil {
		return fmt.Errorf("run %s: %w:\n%s%s", name, err, &output, &said)
	}
	return nil
}
