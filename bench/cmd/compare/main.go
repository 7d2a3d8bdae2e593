// Command compare runs the benchmarks of this module several times and writes what came out as Markdown and plots: the
// median, the least and the most of every side, ratios, and the machine. In each round every side runs once, in a process of
// its own with fresh servers, so that neither the order nor a bad minute of the machine favours one. A side that fails is
// named, and the others go on.
//
//	go run ./cmd/compare -bench all -rounds 3 -out ../docs   all of docs/benchmarks.md, in about 20 minutes
//	go run ./cmd/compare -bench latency -sides tasktier,river
//	go run ./cmd/compare -scale 0.1                          a look, with a tenth of the tasks
//	go run ./cmd/compare -from ../docs/benchmarks.txt -out DIR   the report anew, from what an earlier run found
//
// With -out DIR it writes DIR/benchmarks.md, DIR/images/benchmark-*.svg and, as it goes, DIR/benchmarks.txt, the values
// themselves in the format of go's benchmarks. A benchmarks.md that is there keeps its text: what is generated stands
// between markers, <!-- process --> and <!-- /process -->. Without -out the tables are printed.
package main

import (
	"bytes"
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
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	plans    []plan
	rounds   int
	limit    time.Duration // of one side in one round
	scale    float64
	from     string
	report   report // no folder: the tables are printed
	progress io.Writer
}

func parse(args []string, progress io.Writer) (options, error) {
	o := options{limit: limit, progress: progress}
	all := strings.Join(names(plans), ", ")
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(progress)
	bench := flags.String("bench", "all", "what to run: all, or some of "+all+", with commas between them")
	sides := flags.String("sides", "", "sides to run, with commas between them; empty: all")
	flags.IntVar(&o.rounds, "rounds", 3, "how often each side runs")
	flags.Float64Var(&o.scale, "scale", 1, "factor for the number of tasks")
	flags.StringVar(&o.report.dir, "out", "", "folder of the report; empty: print the tables")
	flags.BoolVar(&o.report.png, "png", false, "write the plots as PNG too")
	flags.StringVar(&o.from, "from", "", "transcript of an earlier run: nothing is run")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.scale <= 0 || flags.NArg() > 0 {
		return o, errors.New("-rounds is at least 1, -scale above 0, and nothing follows the flags")
	}
	o.plans = slices.Clone(plans)
	if *bench != "all" {
		o.plans = nil
		for name := range strings.SplitSeq(*bench, ",") {
			at := slices.IndexFunc(plans, func(p plan) bool { return p.name == name })
			if at < 0 {
				return o, fmt.Errorf("-bench %s: there is no %s; want all, or some of %s", *bench, name, all)
			}
			o.plans = append(o.plans, plans[at])
		}
	}
	if *sides != "" {
		return o, o.only(strings.Split(*sides, ","))
	}
	return o, nil
}

// only keeps the sides with these names.
func (o options) only(wanted []string) error {
	for _, name := range wanted {
		known := func(p plan) bool { return slices.ContainsFunc(p.sides, func(s side) bool { return s.name == name }) }
		if !slices.ContainsFunc(o.plans, known) {
			return fmt.Errorf("-sides %s: there is no %s", strings.Join(wanted, ","), name)
		}
	}
	for i, p := range o.plans {
		o.plans[i].sides = slices.DeleteFunc(slices.Clone(p.sides), func(s side) bool { return !slices.Contains(wanted, s.name) })
	}
	return nil
}

func start(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	if o.report.dir != "" {
		if err := o.report.check(o.plans); err != nil {
			return err
		}
	}
	if o.from != "" {
		return o.again(out)
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
	t, err := o.compare(ctx, binary, "go run ./cmd/compare "+strings.Join(args, " "))
	if err != nil {
		return err
	}
	if o.report.dir == "" {
		if err := o.show(t, out); err != nil {
			return err
		}
	}
	if failed := slices.DeleteFunc(t.runs, func(r run) bool { return r.failure == "" }); len(failed) > 0 {
		return fmt.Errorf("%d runs failed; the report says which", len(failed))
	}
	return nil
}

// again shows what an earlier run found. The report gets its transcript too.
func (o options) again(out io.Writer) error {
	data, err := os.ReadFile(o.from)
	if err != nil {
		return err
	}
	t, err := read(bytes.NewReader(data))
	if err != nil {
		return err
	}
	if err := o.show(t, out); err != nil || o.report.dir == "" {
		return err
	}
	return os.WriteFile(filepath.Join(o.report.dir, transcriptFile), data, 0o644)
}

// show writes the report, or prints what it would say.
func (o options) show(t transcript, out io.Writer) error {
	if o.report.dir != "" {
		return o.report.write(o.plans, t)
	}
	t.about(out)
	for _, p := range o.plans {
		got, failed := t.of(p)
		fmt.Fprintf(out, "\n## %s\n\n%s", p.title, tables(p, got, failed))
	}
	return nil
}
