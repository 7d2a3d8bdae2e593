package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/task"
)

func (c *cli) taskWaitCommand() *cobra.Command {
	var source string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait ID...",
		Short: "Wait until tasks have ended; exit 0 only if all succeeded",
		Long: `Wait until tasks have ended: succeeded, dead or canceled. Each is printed when it has. A task that is not
known yet is waited for. Exit 0 only if all succeeded.`,
		Example: `  tasktier task wait order-7-confirmation --timeout 5m
  tasktier task wait 1 2 3 --source /shop -o json`,
		Args: takesIDs,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if timeout < 0 {
				return misused(cmd, fmt.Errorf("--timeout %v: must be longer", timeout))
			}
			return nil
		},
		RunE: c.does(func(ctx context.Context, ids []string) error { return c.taskWait(ctx, source, ids, timeout) }),
	}
	sourceFlag(cmd, &source)
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "give up after `DURATION` (default never)")
	return cmd
}

func (c *cli) taskWait(ctx context.Context, source string, ids []string, timeout time.Duration) error {
	cfg, err := c.loadForQueue()
	if err != nil {
		return err
	}
	store, closeRedis, err := c.claims(ctx, cfg)
	if err != nil {
		return err
	}
	defer closeRedis()
	return c.awaitTasks(ctx, cfg, store, c.identities(source, ids), timeout)
}

// errTimeout is why waiting ended that was given a time.
var errTimeout = errors.New("timeout")

// awaitTasks prints the ends of tasks as they come. timeout 0 is none.
func (c *cli) awaitTasks(ctx context.Context, cfg configuration, store *claim.Store, ids []claim.Identity, timeout time.Duration) error {
	waiting := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeoutCause(ctx, timeout, errTimeout)
		defer cancel()
	}
	left := make(map[claim.Identity]bool, len(ids))
	for _, id := range ids {
		left[id] = true
	}
	all := len(left)
	failed := map[task.State]int{}
	var unwritten error
	err := store.Wait(waiting, ids, func(s claim.Status) {
		delete(left, claim.Identity{Queue: s.Queue, Source: s.Source, ID: s.ID})
		if s.State != task.Succeeded {
			failed[s.State]++
		}
		if err := c.showEnd(s, cfg.Kafka.Prefix); err != nil && unwritten == nil {
			unwritten = err
		}
	})
	switch {
	case errors.Is(err, errTimeout):
		return fmt.Errorf("%d of %d tasks have not ended after %v: %s", len(left), all, timeout, someOf(left))
	case err != nil:
		return c.claimTrouble(ctx, cfg, err)
	case unwritten != nil:
		return unwritten
	case len(failed) > 0:
		return fmt.Errorf("%d of %d tasks did not succeed (%s)", failed[task.Dead]+failed[task.Canceled], all, tell(failed))
	}
	return nil
}

// showEnd prints a line for a task that has ended.
func (c *cli) showEnd(s claim.Status, prefix string) error {
	row := newStatusRow(s, prefix, time.Now())
	if c.json() {
		return c.object(row)
	}
	line := fmt.Sprintf("%-9s  %-12s  %s", row.State, printable(row.Type), printable(row.ID))
	switch {
	case row.Reason != "":
		line += fmt.Sprintf("  %s: %s", row.Reason, printable(row.Error))
	case row.Result != nil:
		line += "  " + printable(string(row.Result))
	}
	return c.data([]byte(line + "\n"))
}

// someOf names tasks, but not a screenful.
func someOf(tasks map[claim.Identity]bool) string {
	const most = 10
	var ids []string
	for id := range tasks {
		ids = append(ids, id.ID)
	}
	slices.Sort(ids)
	if more := len(ids) - most; more > 0 {
		ids = append(ids[:most], fmt.Sprintf("and %d more", more))
	}
	return printable(strings.Join(ids, ", "))
}

// tell counts states in words.
func tell(states map[task.State]int) string {
	var words []string
	for _, state := range slices.Sorted(maps.Keys(states)) {
		words = append(words, fmt.Sprintf("%d %s", states[state], state))
	}
	return strings.Join(words, ", ")
}
