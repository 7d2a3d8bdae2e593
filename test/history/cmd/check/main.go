// Command check reads a history and prints whether what happened was allowed.
//
//	go run ./test/history/cmd/check [--lease 10s] [--proceed] [--stories 10] DIR
//
// It exits with 1 if it was not, and with 2 if the history can't be read.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tasktier/tasktier/test/history"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.SetOutput(errs)
	var rules history.Rules
	flags.DurationVar(&rules.Lease, "lease", 10*time.Second, "node.lease_ttl of the nodes")
	flags.BoolVar(&rules.Proceed, "proceed", false, "nodes went on without Redis")
	flags.IntVar(&rules.Stories, "stories", 10, "how many violations of each rule are told in full")
	if err := flags.Parse(args); err != nil || flags.NArg() != 1 {
		fmt.Fprintln(errs, "usage: check [flags] DIR")
		return 2
	}
	report, err := history.Check(history.Read(flags.Arg(0)), rules)
	if err != nil {
		fmt.Fprintln(errs, err)
		return 2
	}
	report.Print(out)
	if !report.OK() {
		return 1
	}
	return 0
}
