package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	_ "time/tzdata" // zones are known where the system has none

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/schedule"
)

func (c *cli) scheduleCommand() *cobra.Command {
	cmd := noun(&cobra.Command{
		Use:   "schedule",
		Short: "See the schedules, and run one now",
		Long: `See the schedules of the configuration, and run one now. Nodes send a task at each of their ticks, once for
the whole cluster: for each queue one node leads in that.

With --queue only the schedules of that queue.`,
	})
	var wait bool
	run := &cobra.Command{
		Use:   "run NAME",
		Short: "Send a schedule's task now, beside its ticks",
		Long: `Send a schedule's task now, beside its ticks: it has an id of its own, and the next tick comes as ever. Prints
where it was written as {"id","source","queue","partition","offset"}.`,
		Example: `  tasktier schedule run nightly --wait`,
		Args:    takes("NAME"),
		RunE:    c.does(func(ctx context.Context, args []string) error { return c.scheduleRun(ctx, args[0], wait) }),
	}
	run.Flags().BoolVar(&wait, "wait", false, "wait until the task has ended; needs redis")
	cmd.AddCommand(
		&cobra.Command{
			Use:   "list",
			Short: "List the schedules with their last and next ticks, and who runs them",
			Long: `List the schedules of the configuration with their last and next ticks, in the zone of each, and the node
that sends them. A tick is the last one when its task was sent, whatever became of that.`,
			Example: `  tasktier schedule list
  tasktier schedule list -o json`,
			Args: takes(),
			RunE: c.does(c.scheduleList),
		},
		run,
	)
	return cmd
}

// schedules are those of the configuration, of the queue that --queue names if it was given, by their queues.
func (c *cli) schedules() (configuration, map[string][]schedule.Entry, error) {
	cfg, err := c.load()
	if err != nil {
		return cfg, nil, err
	}
	if err := c.narrow(&cfg); err != nil {
		return cfg, nil, err
	}
	queues, err := tasktier.Schedules(cfg.Config)
	return cfg, queues, err
}

func (c *cli) scheduleRun(ctx context.Context, name string, wait bool) error {
	cfg, queues, err := c.schedules()
	if err != nil {
		return err
	}
	for queue, entries := range queues {
		for _, e := range entries {
			if e.Name == name {
				c.queue = queue
				return c.publish(ctx, cfg, e.Extra(queue), wait)
			}
		}
	}
	if len(cfg.Schedules) == 0 {
		return wrong("schedule %q: the configuration has no schedules", name)
	}
	return wrong("schedule %q is not in the configuration, which has %s", name, strings.Join(slices.Sorted(maps.Keys(cfg.Schedules)), ", "))
}
