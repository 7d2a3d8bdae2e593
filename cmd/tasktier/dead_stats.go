package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/task"
)

func (c *cli) deadStatsCommand() *cobra.Command {
	var f letterFilter
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Count dead letters by reason and type",
		Example: `  tasktier dead stats
  tasktier dead stats --since 24h -o json`,
		Args:    takes(),
		PreRunE: func(cmd *cobra.Command, _ []string) error { return f.check(cmd) },
		RunE:    c.does(func(ctx context.Context, _ []string) error { return c.deadStats(ctx, f.filter()) }),
	}
	f.flags(cmd)
	return cmd
}

// A statsRow is what there is, as JSON shows it.
type statsRow struct {
	Queue      string                `json:"queue"`
	Letters    int64                 `json:"letters"`
	Bytes      int64                 `json:"bytes"`
	Oldest     *time.Time            `json:"oldest,omitempty"`
	Newest     *time.Time            `json:"newest,omitempty"`
	Reasons    map[task.Reason]int64 `json:"reasons"`
	Types      []typeRow             `json:"types"`                 // the most frequent first
	OtherTypes int64                 `json:"other_types,omitempty"` // letters of types that are not named
}

type typeRow struct {
	Type    string `json:"type"`
	Letters int64  `json:"letters"`
}

func (c *cli) deadStats(ctx context.Context, f deadletter.Filter) error {
	store, err := c.readLetters(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	told, finish := c.progress("reading")
	stats, err := store.Stats(ctx, c.queue, f, deadletter.WithProgress(told))
	finish()
	if err != nil {
		return err
	}
	row := statsRow{Queue: stats.Queue, Letters: stats.Letters, Bytes: stats.Bytes, Reasons: stats.Reasons, Types: []typeRow{}, OtherTypes: stats.OtherTypes}
	if stats.Letters > 0 {
		row.Oldest, row.Newest = &stats.Oldest, &stats.Newest
	}
	for _, t := range stats.Types {
		row.Types = append(row.Types, typeRow(t))
	}
	if c.json() {
		return c.object(row)
	}
	return c.data([]byte(row.text(time.Now())))
}

func (r statsRow) text(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-12s %s\n%-12s %d\n", "queue", r.Queue, "letters", r.Letters)
	if r.Letters == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "%-12s %s\n%-12s %s\n%-12s %s\n", "size", size(r.Bytes), "oldest", moments(*r.Oldest, now), "newest", moments(*r.Newest, now))
	reasons := slices.SortedFunc(maps.Keys(r.Reasons), func(a, b task.Reason) int {
		if d := r.Reasons[b] - r.Reasons[a]; d != 0 {
			return int(min(max(d, -1), 1))
		}
		return strings.Compare(string(a), string(b))
	})
	w := newTable("reason", "letters")
	for _, reason := range reasons {
		w.AppendRow([]any{reason, r.Reasons[reason]})
	}
	b.WriteString("\n" + w.Render() + "\n")
	w = newTable("type", "letters")
	for _, t := range r.Types {
		w.AppendRow([]any{typeName(t.Type), t.Letters})
	}
	if r.OtherTypes > 0 {
		w.AppendRow([]any{"(others)", r.OtherTypes})
	}
	b.WriteString("\n" + w.Render() + "\n")
	return b.String()
}

// typeName is a type for people.
func typeName(t string) string {
	if t == "" {
		return "(none)"
	}
	return printable(t)
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
