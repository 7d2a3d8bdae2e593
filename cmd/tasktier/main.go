// Command tasktier runs and operates a task pipeline on Kafka. Each noun of the command line has a file here:
// dev, run, task, schedule, topic, doctor, config, version.
//
// Data goes to stdout; prose, progress and logs to stderr. The exit codes are in exit.go.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
