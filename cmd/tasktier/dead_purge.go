package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/deadletter"
)

func (c *cli) deadPurgeCommand() *cobra.Command {
	var (
		f      letterFilter
		yes    bool
		dryRun bool
	)
	cmd := &cobra.Command{
		Use:   "purge (filters or --all)",
		Short: "Give dead letters up, for good",
		Long: `Give dead letters up, for good: their tasks can't be brought back, but from an export. It asks first, and needs --yes
where nobody can be asked. Letters of tasks that die after it began stay. The result is printed as
{"matched","purged","failed"}.`,
		Example: `  tasktier dead purge --type newsletter.send --until 720h
  tasktier dead export --all > letters.ndjson && tasktier dead purge --all --yes`,
		Args:    takes(),
		PreRunE: func(cmd *cobra.Command, _ []string) error { return f.checkChosen(cmd) },
		RunE:    c.does(func(ctx context.Context, _ []string) error { return c.deadPurge(ctx, f.filter(), yes, dryRun) }),
	}
	f.flags(cmd)
	f.limitFlag(cmd, 0, "at most `N` letters, the oldest first (default all)")
	f.allFlag(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say how many letters would go")
	return cmd
}

// A purgeRow is the result, as it is printed.
type purgeRow struct {
	Matched int64 `json:"matched"`
	Purged  int64 `json:"purged"`
	Failed  int64 `json:"failed"`
	DryRun  bool  `json:"dry_run,omitempty"`
}

func (c *cli) deadPurge(ctx context.Context, f deadletter.Filter, yes, dryRun bool) error {
	store, err := c.readLetters(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	if f.Until.IsZero() {
		f.Until = time.Now() // what dies while somebody thinks was not meant
	}
	if !yes || dryRun {
		n, err := c.count(ctx, store, f)
		switch {
		case err != nil:
			return err
		case dryRun:
			return c.purged(purgeRow{Matched: n, DryRun: true})
		case n == 0:
			return c.purged(purgeRow{})
		}
		if err := c.confirm(fmt.Sprintf("Purge %d dead letters of queue %s for good?", n, c.queue)); err != nil {
			return err
		}
	}
	reading, read := c.progress("reading")
	defer read()
	purging, done := c.progress("purging")
	defer done()
	result, err := store.Purge(ctx, c.queue, f, deadletter.WithProgress(reading), deadletter.WithPurged(func(n, of int64) {
		if n == 1 {
			read()
		}
		purging(n, of)
	}))
	read()
	done()
	row := purgeRow{Matched: result.Matched, Purged: result.Purged, Failed: result.Failed}
	if err != nil && result.Purged == 0 {
		return err
	}
	if err := c.purged(row); err != nil {
		return err
	}
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%w when %d of %d letters were purged", errInterrupted, row.Purged, row.Matched)
	case err != nil:
		return partly("done in part: %d of %d letters were purged: %v", row.Purged, row.Matched, err)
	}
	return nil
}

// count says how many letters a filter takes.
func (c *cli) count(ctx context.Context, store *deadletter.Store, f deadletter.Filter) (int64, error) {
	told, finish := c.progress("counting")
	defer finish()
	stats, err := store.Stats(ctx, c.queue, f, deadletter.WithProgress(told))
	if f.Limit > 0 {
		return min(stats.Letters, int64(f.Limit)), err
	}
	return stats.Letters, err
}

func (c *cli) purged(r purgeRow) error { return c.object(r) }
