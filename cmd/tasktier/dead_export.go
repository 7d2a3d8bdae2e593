package main

import (
	"bufio"
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/deadletter"
)

func (c *cli) deadExportCommand() *cobra.Command {
	var f letterFilter
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write dead letters as NDJSON that 'task send --file' takes",
		Long: `Write dead letters as NDJSON, the oldest first: a task a line, as a structured CloudEvent with the payload byte for
byte. 'tasktier task send --file' sends them to the same queue or to another; each line has the task's next generation, so
that nodes do not take it for the one that died. The letters stay.

A record that is no task is written too, so that an export is complete: as {"letter","queue","reason","error","origin",
"died","headers","key_base64","value_base64"}, with headers as pairs of a name and a value in base64. 'task send' names such
lines and skips them, and the exit code of the export is 3 then. What a CloudEvent can't carry is left out: Kafka headers
that are no attributes, and when and why the task died, which 'dead list -o json' says.`,
		Example: `  tasktier dead export --since 24h > letters.ndjson
  tasktier dead export --type mail.send | sed s/old-host/new-host/ | tasktier task send --file -`,
		Args:    takes(),
		PreRunE: func(cmd *cobra.Command, _ []string) error { return f.check(cmd) },
		RunE:    c.does(func(ctx context.Context, _ []string) error { return c.deadExport(ctx, f.filter()) }),
	}
	f.flags(cmd)
	f.limitFlag(cmd, 0, "at most `N` letters, the oldest first (default all)")
	f.allFlag(cmd)
	return cmd
}

func (c *cli) deadExport(ctx context.Context, f deadletter.Filter) error {
	out := bufio.NewWriterSize(c.stdout, 256<<10)
	tasks, others, leftOut := 0, 0, 0
	for l, err := range c.eachLetter(ctx, f) {
		if err != nil {
			_ = out.Flush() // the other error is the one to tell
			return err
		}
		e := l.Export()
		if _, err := out.Write(append(e.Line, '\n')); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
		if e.Task {
			tasks++
		} else {
			others++
		}
		if e.LeftOut > 0 {
			leftOut++
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	c.prose("%d tasks exported.", tasks)
	if leftOut > 0 {
		c.prose("%d of them have Kafka headers that a CloudEvent can't carry; those are left out.", leftOut)
	}
	if others > 0 {
		return partly("done in part: %d of %d letters are no tasks that could be sent; they are written as records", others, tasks+others)
	}
	return nil
}
