package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/deadletter"
)

func (c *cli) deadGroupsCommand() *cobra.Command {
	var f letterFilter
	cmd := &cobra.Command{
		Use:   "groups",
		Short: "Group dead letters by type and error, with the command that replays each group",
		Long: `Group dead letters by type and error, the largest group first. Errors are the same when they differ only in numbers
(<n>), durations (<d>), identifiers (<id>) and quoted strings (<s>). Below each group is the command that replays it.`,
		Example: `  tasktier dead groups
  tasktier dead groups --since 24h --limit 3
  tasktier dead groups -o json | jq -r .command`,
		Args:    takes(),
		PreRunE: func(cmd *cobra.Command, _ []string) error { return f.check(cmd) },
		RunE:    c.does(func(ctx context.Context, _ []string) error { return c.deadGroups(ctx, f.filter()) }),
	}
	f.flags(cmd)
	f.limitFlag(cmd, 20, "at most `N` groups; 0 shows all")
	return cmd
}

// A groupRow is a group as JSON shows it.
type groupRow struct {
	Queue   string    `json:"queue"`
	Type    string    `json:"type"`
	Error   string    `json:"error"`
	Letters int64     `json:"letters"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Sample  string    `json:"sample,omitempty"` // the id of the letter that died last
	Source  string    `json:"source,omitempty"`
	Pattern string    `json:"error_regexp,omitempty"`
	Command string    `json:"command,omitempty"` // that replays the group
	Rest    bool      `json:"rest,omitempty"`    // what is not told apart
}

func (c *cli) deadGroups(ctx context.Context, f deadletter.Filter) error {
	store, err := c.readLetters(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	limit := f.Limit
	told, finish := c.progress("reading")
	groups, err := store.Groups(ctx, c.queue, f, deadletter.WithProgress(told))
	finish()
	if err != nil {
		return err
	}
	all := len(groups)
	if limit > 0 {
		groups = groups[:min(all, limit)]
	}
	now := time.Now()
	for _, g := range groups {
		row := groupRow{
			Queue: g.Queue, Type: g.Type, Error: g.Error, Letters: g.Letters, First: g.First, Last: g.Last, Sample: g.Sample,
			Source: g.Source, Pattern: g.Pattern, Command: g.Command(), Rest: g.Rest,
		}
		if c.json() {
			err = c.object(row)
		} else {
			err = c.data([]byte(row.text(now)))
		}
		if err != nil {
			return err
		}
	}
	if len(groups) < all {
		c.prose("Only the first %d groups of %d, see --limit.", len(groups), all)
	}
	return nil
}

func (r groupRow) text(now time.Time) string {
	if r.Rest {
		return fmt.Sprintf("%7d  of other types and errors\n", r.Letters)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%7d  %s  %s\n", r.Letters, typeName(r.Type), printable(r.Error))
	fmt.Fprintf(&b, "         first %s, last %s, such as %s\n", moments(r.First, now), moments(r.Last, now), printable(r.Sample))
	if command := printable(r.Command); command == r.Command {
		fmt.Fprintf(&b, "         %s\n", command)
	} else {
		b.WriteString("         its type can't be pasted; -o json has the command\n")
	}
	return b.String()
}
