package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/coord/control"
	"github.com/tasktier/tasktier/internal/names"
)

func (c *cli) queueCommand() *cobra.Command {
	cmd := noun(&cobra.Command{
		Use:   "queue",
		Short: "See how far the queues are, and pause them",
		Long: `See how far the queues are, pause them and let them go on, and decide where one goes on whose offsets nobody
knows.`,
	})
	cmd.AddCommand(
		&cobra.Command{
			Use:   "list",
			Short: "List the queues: what waits, runs, retries and died",
			Long: `List the queues of the configuration, and those that are paused. With --queue only that one.

lag         records that are not finished, in Kafka: what waits, and what runs or was fetched
scheduled   tasks that were delayed by their producers, up to 10,000
retrying    tasks that failed and wait for their next attempt, up to 10,000
running     tasks that run now: the nodes are asked
dead        dead letters; their topic is read
…/min       ends and failed attempts per minute, over the last five minutes
oldest      how long ago the oldest record was written that is not finished

What can't be known is shown as "-": without redis nobody counts, without etcd nothing is paused. A server that does not
answer is named, and the exit code is 3; 4 if it is Kafka.`,
			Example: `  tasktier queue list
  tasktier queue list --queue mail -o json`,
			Args: takes(),
			RunE: c.does(c.queueList),
		},
		&cobra.Command{
			Use:   "show [QUEUE]",
			Short: "Show a queue with its partitions, who reads them, and who leads",
			Long: `Show what 'tasktier queue list' does of a queue (by default the one of --queue), with its partitions, the
members of the consumer group that read them, and the nodes that lead in the queue's duties.`,
			Example: `  tasktier queue show mail`,
			Args:    takesAtMostOne,
			RunE:    c.does(c.queueShow),
		},
		&cobra.Command{
			Use:   "pause QUEUE",
			Short: "Start no tasks of a queue until it is resumed",
			Long: `Start no tasks of a queue, on no node, until it is resumed; through restarts, too. What runs goes on, and what
is sent is kept.`,
			Example: `  tasktier queue pause mail`,
			Args:    takes("QUEUE"),
			RunE:    c.does(func(ctx context.Context, args []string) error { return c.queuePause(ctx, args[0], true) }),
		},
		&cobra.Command{
			Use:     "resume QUEUE",
			Short:   "Start tasks of a queue again",
			Example: `  tasktier queue resume mail`,
			Args:    takes("QUEUE"),
			RunE:    c.does(func(ctx context.Context, args []string) error { return c.queuePause(ctx, args[0], false) }),
		},
		c.queueResetCommand(),
	)
	return cmd
}

// takesAtMostOne is the rule for an argument that has a default.
func takesAtMostOne(cmd *cobra.Command, args []string) error {
	return takes(slices.Repeat([]string{""}, min(len(args), 1))...)(cmd, args)
}

// A pauseRow says what became of pause and resume.
type pauseRow struct {
	Queue   string `json:"queue,omitempty"`
	Type    string `json:"type,omitempty"`
	Paused  bool   `json:"paused"`
	Changed bool   `json:"changed"` // false: it was so already
}

func (c *cli) queuePause(ctx context.Context, queue string, pause bool) error {
	if err := names.ValidQueue(queue); err != nil {
		return wrong("%w", err)
	}
	return c.steering(ctx, func(ctx context.Context, cfg configuration, o control.Operator) error {
		say := o.PauseQueue
		if !pause {
			say = o.ResumeQueue
		}
		changed, err := say(ctx, queue)
		if err != nil {
			return etcdTrouble(ctx, cfg, err)
		}
		if _, ok := cfg.Queues[queue]; !ok && changed && pause {
			c.prose("The configuration has no queue %s: this is for nodes whose configuration does.", queue)
		}
		return c.steered(pauseRow{Queue: queue, Paused: pause, Changed: changed}, pauseSentence(pause, changed), "Queue "+queue, "queue resume "+queue)
	})
}

// pauseSentence says what became of pause and resume, of a thing and the command that resumes it.
func pauseSentence(pause, changed bool) string {
	switch {
	case pause && changed:
		return "%s is paused: no node starts tasks of it until 'tasktier %s'. What runs goes on."
	case pause:
		return "%s is paused already; 'tasktier %s' ends that."
	case changed:
		return "%s is resumed.%.0s"
	default:
		return "%s is not paused.%.0s"
	}
}
