package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

func (c *cli) taskCommand() *cobra.Command {
	cmd := noun(&cobra.Command{Use: "task", Short: "Send tasks, and see what became of them"})
	cmd.AddCommand(c.taskSendCommand(), c.taskGetCommand(), c.taskWaitCommand(), c.taskListCommand(), c.taskCancelCommand())
	return cmd
}

func (c *cli) taskSendCommand() *cobra.Command {
	var s sending
	cmd := &cobra.Command{
		Use:   "send TYPE | --file FILE",
		Short: "Send a task, or a file of tasks",
		Long: `Send a task, and print where it was written as {"id","source","queue","partition","offset"}. It returns
when all in-sync replicas have the task. Sending the same --id and --source again is sending the same task again.
With --wait it then waits until the task has ended and prints that too; exit 0 only if it succeeded.

With --file, send NDJSON: a task a line, as a structured CloudEvent or in the plain form
{"id":"7","type":"mail.send","payload":{}}. Each line travels byte for byte, unless that makes a record that is too large:
then its payload does, in binary mode. Bad lines are named with their number and skipped, and the exit code is 3 then; the
counts are printed at the end.`,
		Example: `  tasktier task send mail.send -d '{"to":"ann@example.com"}'
  tasktier task send mail.send -d @mail.json --id order-7-confirmation --in 10m
  date | tasktier task send note.take -d - --content-type text/plain
  tasktier task send report.make -d '{"month":"2026-10"}' --wait
  tasktier --queue mail task send --file tasks.ndjson`,
		Args: func(cmd *cobra.Command, args []string) error {
			if s.file == "" {
				return takes("TYPE")(cmd, args)
			}
			if len(args) > 0 {
				return misused(cmd, errFileAndType)
			}
			return nil
		},
		PreRunE: func(cmd *cobra.Command, _ []string) error { return s.check(cmd) },
		RunE: c.does(func(ctx context.Context, args []string) error {
			if s.file != "" {
				return c.sendFile(ctx, s.file)
			}
			return c.sendOne(ctx, args[0], s)
		}),
	}
	flags := cmd.Flags()
	flags.StringVarP(&s.file, "file", "f", "", "send the tasks of NDJSON `FILE`, or of stdin with -")
	flags.StringVarP(&s.data, "data", "d", "", "payload: `JSON`, @FILE, or - for stdin")
	flags.StringVar(&s.contentType, "content-type", "", "media `TYPE` of the payload, which then may be anything (default application/json)")
	flags.StringVar(&s.id, "id", "", "`ID` of the task (default a new UUIDv7)")
	flags.StringVar(&s.source, "source", "", "where it comes from, a `URI` reference (default /tasktier)")
	flags.StringVar(&s.key, "key", "", "ordering `KEY`, for ordered queues")
	flags.DurationVar(&s.in, "in", 0, "start no sooner than `DURATION` from now, as in 90s or 2h")
	flags.Var(&s.at, "at", "start no sooner than `TIME`, as in 2027-01-31T08:00:00Z")
	flags.DurationVar(&s.expires, "expires", 0, "do not start later than `DURATION` from now: the task is dead then")
	flags.IntVar(&s.maxAttempts, "max-attempts", 0, "try it `N` times at most (default the queue's setting)")
	flags.DurationVar(&s.timeout, "timeout", 0, "`DURATION` that one attempt may take (default the queue's setting)")
	flags.BoolVar(&s.wait, "wait", false, "wait until the task has ended; needs redis")
	flags.StringArrayVar(&s.headers, "header", nil, "add a header `NAME=VALUE`; ce_NAME is a CloudEvents attribute; may be repeated")
	return cmd
}

// A moment is a flag that takes a time.
type moment struct{ time.Time }

func (m *moment) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Format(time.RFC3339)
}

func (m *moment) Type() string { return "time" }

// Set reads RFC 3339.
func (m *moment) Set(s string) (err error) {
	if m.Time, err = time.Parse(time.RFC3339, s); err != nil {
		return errNotRFC3339
	}
	return nil
}
