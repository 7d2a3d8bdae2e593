package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/task"
)

func (c *cli) taskCancelCommand() *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use:   "cancel ID...",
		Short: "Keep tasks from starting, or end their runs",
		Long: `Keep tasks from starting, or end their runs. A task that is pending, scheduled, retrying or not even known
will not start any more. Of one that runs the handler's context is canceled: it ends as canceled unless it succeeds all the
same, or fails for good. A task that has ended stays what it is: that is exit 1, or 3 if others were canceled.`,
		Example: `  tasktier task cancel order-7-confirmation
  tasktier task cancel 1 2 3 --source /shop --queue mail`,
		Args: takesIDs,
		RunE: c.does(func(ctx context.Context, ids []string) error { return c.taskCancel(ctx, source, ids) }),
	}
	sourceFlag(cmd, &source)
	return cmd
}

// A cancelRow is what became of one wish to cancel, as JSON shows it.
type cancelRow struct {
	ID     string     `json:"id"`
	Source string     `json:"source"`
	Queue  string     `json:"queue"`
	Before task.State `json:"before,omitempty"` // missing: it was not known
	After  task.State `json:"after"`
	Result string     `json:"result"` // canceled, canceling or too late
}

func (c *cli) taskCancel(ctx context.Context, source string, ids []string) error {
	cfg, err := c.loadForQueue()
	if err != nil {
		return err
	}
	store, closeRedis, err := c.claims(ctx, cfg)
	if err != nil {
		return err
	}
	defer closeRedis()
	var rows []cancelRow
	late := 0
	for _, id := range c.identities(source, ids) {
		var got claim.Cancellation
		if got, err = store.Cancel(ctx, id, c.windowOf(cfg)); err != nil {
			err = c.claimTrouble(ctx, cfg, err)
			break
		}
		row := cancelRow{id.ID, id.Source, id.Queue, got.Before, got.After, "too late"}
		switch {
		case got.After == task.Canceled:
			row.Result = "canceled"
		case got.Asked:
			row.Result = "canceling"
		default:
			late++
		}
		rows = append(rows, row)
	}
	// What was done is told, whatever came then.
	if shown := c.showCancellations(rows); err == nil {
		err = shown
	}
	switch {
	case err != nil && len(rows) > 0:
		return fmt.Errorf("stopped after %d of %d tasks: %w", len(rows), len(ids), err)
	case err != nil:
		return err
	case late == len(rows):
		return fmt.Errorf("too late to cancel: %d of %d tasks", late, len(rows))
	case late > 0:
		return partly("done in part: too late to cancel %d of %d tasks", late, len(rows))
	}
	return nil
}

func (c *cli) showCancellations(rows []cancelRow) error {
	if len(rows) == 0 {
		return nil
	}
	w := newTable("id", "was", "is", "result")
	for _, row := range rows {
		if c.json() {
			if err := c.object(row); err != nil {
				return err
			}
			continue
		}
		was := string(row.Before)
		if was == "" {
			was = "unknown"
		}
		w.AppendRow([]any{printable(row.ID), was, row.After, row.Result})
	}
	if c.json() {
		return nil
	}
	return c.data([]byte(w.Render() + "\n"))
}
