package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/config"
)

// The exit codes. Scripts depend on them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2 // wrong usage or configuration
	exitPartly      = 3 // the counts are printed
	exitUnreachable = 4 // the server and its address are named
	exitInterrupted = 130
)

// A usageError says that the command line makes no sense.
type usageError struct {
	command string // whose help tells more; empty: none does
	err     error
}

func (e *usageError) Error() string {
	if e.command == "" {
		return e.err.Error()
	}
	return fmt.Sprintf("%v (see '%s --help')", e.err, e.command)
}

func (e *usageError) Unwrap() error { return e.err }

// misused marks err as wrong usage of cmd.
func misused(cmd *cobra.Command, err error) error {
	if usage := (*usageError)(nil); errors.As(err, &usage) {
		return err
	}
	return &usageError{cmd.CommandPath(), err}
}

// wrong is a usageError that needs no further help.
func wrong(format string, args ...any) error { return &usageError{err: fmt.Errorf(format, args...)} }

// A partlyError says that something was done and something was not.
type partlyError struct{ message string }

func (e *partlyError) Error() string { return e.message }

func partly(format string, args ...any) error { return &partlyError{fmt.Sprintf(format, args...)} }

// errInterrupted is how a command says that it was stopped before it was done.
var errInterrupted = errors.New("interrupted")

// errReported fails a command whose output has said why.
var errReported = errors.New("reported")

// exitCode says how the process ends for err.
func exitCode(err error) int {
	var (
		usage       *usageError
		settings    *config.Error
		unreachable *tasktier.UnreachableError
		part        *partlyError
	)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &usage), errors.As(err, &settings):
		return exitUsage
	case errors.As(err, &unreachable):
		return exitUnreachable
	case errors.As(err, &part):
		return exitPartly
	default:
		return exitFailed
	}
}

// report prints err, a line for each thing that is wrong, and returns the exit code. What fails because ctx was ended
// by a signal was interrupted.
func (c *cli) report(ctx context.Context, err error) int {
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	if err != nil && !errors.Is(err, errReported) {
		for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
			fmt.Fprintf(c.stderr, "tasktier: %s\n", line)
		}
	}
	return exitCode(err)
}
