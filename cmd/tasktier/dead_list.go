package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/task"
)

func (c *cli) deadListCommand() *cobra.Command {
	var f letterFilter
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List dead letters, the oldest first",
		Long: `List dead letters, the oldest first. All flags that choose letters must hold together; a flag that is repeated
takes what any of its values takes. What is listed is what was there when the command began.`,
		Example: `  tasktier dead list --since 2h
  tasktier dead list --type mail.send --error 'connection refused'
  tasktier dead list --reason poison --limit 0 -o json`,
		Args:    takes(),
		PreRunE: func(cmd *cobra.Command, _ []string) error { return f.check(cmd) },
		RunE:    c.does(func(ctx context.Context, _ []string) error { return c.deadList(ctx, f.filter()) }),
	}
	f.flags(cmd)
	f.limitFlag(cmd, 100, "at most `N` letters; 0 lists all")
	return cmd
}

func (c *cli) deadList(ctx context.Context, f deadletter.Filter) error {
	limit := f.Limit
	if limit > 0 {
		f.Limit++ // to know whether there are more
	}
	out := c.letterTable()
	n := 0
	for l, err := range c.eachLetter(ctx, f) {
		if err != nil {
			return err
		}
		if n++; limit > 0 && n > limit {
			break
		}
		if err := out.add(l); err != nil {
			return err
		}
	}
	if err := out.end(); err != nil {
		return err
	}
	if limit > 0 && n > limit {
		c.prose("Only the first %d: there are more, see --limit.", limit)
	}
	return nil
}

// A letterRow is a dead letter as JSON shows it.
type letterRow struct {
	ID         string      `json:"id"`
	Source     string      `json:"source"`
	Queue      string      `json:"queue"`
	Type       string      `json:"type"`
	Generation int         `json:"generation"`
	Reason     task.Reason `json:"reason"`
	Error      string      `json:"error"`                 // of the last attempt
	FirstError string      `json:"first_error,omitempty"` // of the first
	Attempts   int         `json:"attempts"`
	Crashes    int         `json:"crashes,omitempty"`
	Died       time.Time   `json:"died"`
	Node       string      `json:"node,omitempty"`
	Origin     string      `json:"origin,omitempty"` // where it was read
	Topic      string      `json:"topic"`            // where the letter lies
	Partition  int32       `json:"partition"`
	Offset     int64       `json:"offset"`
	Key        string      `json:"key"` // of the letter
	Bytes      int         `json:"bytes"`
	Bad        string      `json:"bad,omitempty"` // why it is no task that can be obeyed
}

func newLetterRow(l *deadletter.Letter) letterRow {
	row := letterRow{
		ID: l.ID(), Source: l.Task.Source, Queue: l.Queue, Type: l.Task.Type, Generation: l.Generation, Reason: l.Reason,
		Error: l.Err, FirstError: l.FirstErr, Attempts: l.Attempts, Crashes: l.Crashes, Died: l.Died, Node: l.Node, Origin: l.Origin,
		Topic: l.Record.Topic, Partition: l.Partition, Offset: l.Offset, Key: string(l.Key), Bytes: l.Bytes(),
	}
	if l.Bad != nil {
		row.Bad = l.Bad.Error()
	}
	return row
}

// A letterTable writes letters as they come: a table in pieces, or a line of JSON for each.
type letterTable struct {
	c      *cli
	out    *bufio.Writer
	rows   [][]any
	headed bool
	now    time.Time
}

// tablePiece is how many rows have their widths measured together.
const tablePiece = 500

func (c *cli) letterTable() *letterTable {
	return &letterTable{c: c, out: bufio.NewWriter(c.stdout), now: time.Now()}
}

func (t *letterTable) add(l *deadletter.Letter) error {
	if t.c.json() {
		line, err := marshal(newLetterRow(l))
		if err != nil {
			return err
		}
		return t.write(line)
	}
	t.rows = append(t.rows, []any{
		moments(l.Died, t.now), l.Reason, printable(l.Task.Type), printable(l.ID()), l.Attempts, shortened(printable(l.Err), 80),
	})
	if len(t.rows) == tablePiece {
		return t.flush()
	}
	return nil
}

func (t *letterTable) flush() error {
	w := newTable("died", "reason", "type", "id", "attempts", "error")
	if t.headed {
		w.ResetHeaders()
	}
	t.headed = true
	for _, row := range t.rows {
		w.AppendRow(row)
	}
	t.rows = t.rows[:0]
	return t.write([]byte(w.Render() + "\n"))
}

func (t *letterTable) write(b []byte) error {
	if _, err := t.out.Write(b); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// end writes what is left. A table has its header also where it has no rows.
func (t *letterTable) end() error {
	if !t.c.json() && (len(t.rows) > 0 || !t.headed) {
		if err := t.flush(); err != nil {
			return err
		}
	}
	if err := t.out.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// shortened is s on one line, of at most so many characters.
func shortened(s string, limit int) string {
	if chars := []rune(s); len(chars) > limit {
		s = strings.TrimRight(string(chars[:limit-1]), " ") + "…"
	}
	return s
}
