package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
)

func (c *cli) taskGetCommand() *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Show what is known of a task; exit 1 if nothing is",
		Long: `Show what is known of a task: its state, attempt, generation, owner and times, the last error or the
result, and where it waits. Exit 1 if it is not known: no node has begun it, 'task send' did not announce it, or it ended
longer ago than its queue remembers (window and id_window in the configuration).`,
		Example: `  tasktier task get order-7-confirmation
  tasktier task get 42 --source /shop --queue mail -o json`,
		Args: takes("ID"),
		RunE: c.does(func(ctx context.Context, args []string) error { return c.taskGet(ctx, source, args[0]) }),
	}
	sourceFlag(cmd, &source)
	return cmd
}

// sourceFlag adds the flag that, with the queue and the id, names a task.
func sourceFlag(cmd *cobra.Command, source *string) {
	cmd.Flags().StringVar(source, "source", producer.DefaultSource, "where the task comes from, a `URI` reference")
}

func (c *cli) taskGet(ctx context.Context, source, id string) error {
	cfg, err := c.loadForQueue()
	if err != nil {
		return err
	}
	store, closeRedis, err := c.claims(ctx, cfg)
	if err != nil {
		return err
	}
	defer closeRedis()
	status, err := store.Get(ctx, claim.Identity{Queue: c.queue, Source: source, ID: id})
	if err != nil {
		return c.claimTrouble(ctx, cfg, err)
	}
	row := newStatusRow(status, cfg.Kafka.Prefix, time.Now())
	if c.json() {
		return c.object(row)
	}
	return c.data([]byte(row.text(time.Now())))
}

// claimTrouble passes on what a claim says, and takes anything else for a Redis that does not answer.
func (c *cli) claimTrouble(ctx context.Context, cfg configuration, err error) error {
	if errors.Is(err, claim.ErrUnknown) || errors.Is(err, claim.ErrFormat) {
		return err
	}
	return redisTrouble(ctx, *cfg.Redis, err)
}

// A statusRow is a task as JSON shows it.
type statusRow struct {
	ID         string     `json:"id"`
	Source     string     `json:"source"`
	Queue      string     `json:"queue"`
	Type       string     `json:"type"`
	State      task.State `json:"state"`
	Generation int        `json:"generation"`
	Turn       int        `json:"turn"`
	Attempt    int        `json:"attempt"`
	Crashes    int        `json:"crashes,omitempty"`
	Owner      string     `json:"owner,omitempty"` // the session that runs it, or ran it last
	Fence      int64      `json:"fence,omitempty"`

	Since *time.Time `json:"since,omitempty"` // since when it runs
	Due   *time.Time `json:"due,omitempty"`   // from when on it may start
	Ended *time.Time `json:"ended,omitempty"`
	Until *time.Time `json:"known_until"` // when this is forgotten, as it is now
	Waits string     `json:"waits_in,omitempty"`

	CancelAsked bool            `json:"cancel_asked,omitempty"`
	Progress    float64         `json:"progress,omitempty"`
	Note        string          `json:"note,omitempty"`
	Reason      task.Reason     `json:"reason,omitempty"`
	Error       string          `json:"error,omitempty"`       // of the last attempt that failed
	FirstError  string          `json:"first_error,omitempty"` // of the first
	Node        string          `json:"node,omitempty"`        // that had the last error, or left the result
	Result      json.RawMessage `json:"result,omitempty"`      // as it is if it is JSON, else a string
	Binary      []byte          `json:"result_base64,omitempty"`
}

func newStatusRow(s claim.Status, prefix string, now time.Time) statusRow {
	d := s.Details
	row := statusRow{
		ID: s.ID, Source: s.Source, Queue: s.Queue, Type: s.Type, State: s.State,
		Generation: s.Generation, Turn: s.Turn, Attempt: s.Attempt, Crashes: s.Crashes, Owner: s.Owner, Fence: s.Fence,
		Until: &s.Until, CancelAsked: s.CancelAsked, Progress: d.Progress, Note: d.Note,
		Reason: d.Reason, Error: d.Error, FirstError: d.FirstError, Node: d.Node,
	}
	switch {
	case s.State == task.Running:
		row.Since = &s.At
	case s.State.Terminal():
		row.Ended = &s.At
	default:
		row.Due = &s.At
		row.Waits = names.Pending(s.Queue)
		if place := tier.Route(s.At, now); place.Wait {
			row.Waits = fmt.Sprintf("%s/%d", place.Topic(prefix), place.Partition)
		}
	}
	switch {
	case len(d.Result) == 0:
	case json.Valid(d.Result):
		row.Result = d.Result
	case utf8.Valid(d.Result):
		row.Result, _ = json.Marshal(string(d.Result)) //nolint:errchkjson // a string that is valid
	default:
		row.Binary = d.Result
	}
	return row
}

// text is the row for people: a line for each thing that there is to say.
func (r statusRow) text(now time.Time) string {
	var b strings.Builder
	say := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	state := string(r.State)
	if r.CancelAsked {
		state += ", asked to cancel"
	}
	if r.Reason != "" {
		state += ", " + string(r.Reason)
	}
	say("task", "%s", r.ID)
	say("source", "%s", r.Source)
	say("queue", "%s", r.Queue)
	say("type", "%s", r.Type)
	say("state", "%s", state)
	say("attempt", "%d", r.Attempt)
	generation := fmt.Sprint(r.Generation)
	if r.Generation == claim.AllGenerations {
		generation = "all"
	}
	say("generation", "%s, turn %d", generation, r.Turn)
	if r.Crashes > 0 {
		say("crashes", "%d", r.Crashes)
	}
	if r.Owner != "" {
		say("owner", "%s", r.Owner)
	}
	for _, at := range []struct {
		name string
		time *time.Time
	}{{"since", r.Since}, {"due", r.Due}, {"ended", r.Ended}, {"known until", r.Until}} {
		if at.time != nil {
			say(at.name, "%s", moments(*at.time, now))
		}
	}
	if r.Waits != "" {
		say("waits in", "%s", r.Waits)
	}
	if r.Progress > 0 || r.Note != "" {
		say("progress", "%.0f%% %s", 100*r.Progress, r.Note)
	}
	if r.Error != "" {
		say("last error", "%s", r.Error)
	}
	if r.FirstError != "" && r.FirstError != r.Error {
		say("first error", "%s", r.FirstError)
	}
	if r.Node != "" {
		say("node", "%s", r.Node)
	}
	switch {
	case r.Result != nil:
		say("result", "%s", r.Result)
	case r.Binary != nil:
		say("result", "%d bytes, not text; -o json has them", len(r.Binary))
	}
	return b.String()
}

// moments is a time for people: when, and how far from now.
func moments(t, now time.Time) string { return momentsIn(t.Local(), now) }

// momentsIn is moments in the zone of t.
func momentsIn(t, now time.Time) string {
	far := t.Sub(now)
	round := time.Second
	if far.Abs() < 10*time.Second {
		round = 100 * time.Millisecond
	}
	when, amount := t.Format(time.RFC3339), far.Abs().Round(round).String()
	if days := far.Abs() / (24 * time.Hour); days >= 3 {
		amount = fmt.Sprintf("%d days", days)
	}
	if far > 0 {
		return fmt.Sprintf("%s (in %s)", when, amount)
	}
	return fmt.Sprintf("%s (%s ago)", when, amount)
}
