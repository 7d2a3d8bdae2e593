package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/task"
)

// A listing is what the flags of 'task list' say.
type listing struct {
	state choice
	typ   string
	since since
	limit int
}

func (c *cli) taskListCommand() *cobra.Command {
	l := listing{state: choice{among: []string{
		string(task.Running), string(task.Retrying), string(task.Scheduled), string(task.Succeeded), string(task.Dead), string(task.Canceled),
	}}}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tasks that run, wait for their time, died, or ended lately",
		Long: `List tasks that run, wait for their time, died, or ended lately, of one queue. What runs, and the last 256
ends of each node, is asked of the nodes; what retries, was delayed or died is known for as long as its claim is kept, up
to 10,000 tasks each. Tasks that are ready and wait for a node are in Kafka and not listed. Dead letters stay in Kafka
beyond that.`,
		Example: `  tasktier task list
  tasktier task list --state retrying --type mail.send
  tasktier task list --state dead --since 24h -o json`,
		Args: takes(),
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if l.limit < 1 {
				return misused(cmd, fmt.Errorf("--limit %d: must be at least 1", l.limit))
			}
			return nil
		},
		RunE: c.does(func(ctx context.Context, _ []string) error { return c.taskList(ctx, l) }),
	}
	flags := cmd.Flags()
	flags.Var(&l.state, "state", "only tasks in `STATE`: "+oneOf(l.state.among))
	flags.StringVar(&l.typ, "type", "", "only tasks of `TYPE`")
	flags.Var(&l.since, "since", "leave out what ended, or began to run, before `TIME`, or longer ago than a duration like 2h")
	flags.IntVar(&l.limit, "limit", 100, "at most `N` tasks")
	return cmd
}

func (c *cli) taskList(ctx context.Context, l listing) error {
	cfg, err := c.loadForQueue()
	if err != nil {
		return err
	}
	store, closeRedis, err := c.claims(ctx, cfg)
	if err != nil {
		return err
	}
	defer closeRedis()
	got, err := store.List(ctx, claim.Filter{
		Queue: c.queue, State: task.State(l.state.value), Type: l.typ, Since: l.since.Time, Limit: l.limit,
	})
	if err != nil {
		return c.claimTrouble(ctx, cfg, err)
	}
	if err := c.showTasks(got.Entries); err != nil {
		return err
	}
	if len(got.Entries) == l.limit {
		c.prose("Only the first %d: there may be more, see --limit.", l.limit)
	}
	for _, state := range got.Full {
		c.prose("More tasks than can be listed are %s: the index holds 10,000.", state)
	}
	if got.Silent > 0 {
		c.prose("%d nodes did not say in time what they run.", got.Silent)
	}
	return nil
}

func (c *cli) showTasks(entries []claim.Entry) error {
	if c.json() {
		for _, e := range entries {
			if err := c.object(e); err != nil {
				return err
			}
		}
		return nil
	}
	now := time.Now()
	w := newTable("state", "type", "id", "source", "attempt", "at", "owner")
	for _, e := range entries {
		w.AppendRow([]any{e.State, printable(e.Type), printable(e.ID), printable(e.Source), e.Attempt, moments(e.At, now), e.Owner})
	}
	return c.data([]byte(w.Render() + "\n"))
}

// since is a flag that takes a time, or how long ago it was.
type since struct {
	time.Time
	text string
}

var errNotSince = errors.New("must be a duration like 2h, or a time like 2027-01-31T08:00:00Z (RFC 3339)")

func (s *since) String() string { return s.text }

func (s *since) Type() string { return "time" }

// Set reads either.
func (s *since) Set(text string) error {
	s.text = text
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		s.Time = time.Now().Add(-ago)
		return nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return errNotSince
	}
	s.Time = at
	return nil
}
