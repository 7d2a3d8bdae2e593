package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tasktier/tasktier/task"
)

// A queueRow is a queue as JSON shows it. What is missing is not known.
type queueRow struct {
	Queue     string             `json:"queue"`
	Paused    *bool              `json:"paused,omitempty"`
	By        string             `json:"paused_by,omitempty"`
	Since     time.Time          `json:"paused_since,omitzero"`
	Lag       *int64             `json:"lag,omitempty"`
	Scheduled *int               `json:"scheduled,omitempty"`
	Retrying  *int               `json:"retrying,omitempty"`
	Running   *int               `json:"running,omitempty"`
	More      []task.State       `json:"more,omitempty"` // states of which there may be more than is said
	Dead      *int64             `json:"dead,omitempty"`
	Rates     map[string]float64 `json:"rates,omitempty"`   // per minute, by outcome, over the last five
	Oldest    time.Time          `json:"oldest,omitzero"`   // when the oldest record was written that is not finished
	Problem   string             `json:"problem,omitempty"` // why figures are missing
}

// rated are the outcomes whose rates tables show.
var rated = []string{"succeeded", "retrying", "dead"}

func (c *cli) queueList(ctx context.Context, _ []string) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if err := c.narrow(&cfg); err != nil {
		return err
	}
	s, err := c.survey(ctx, cfg, sorted(cfg.Queues), !c.queueGiven)
	if err != nil {
		return err
	}
	if err := c.showQueues(s.rows, time.Now()); err != nil {
		return err
	}
	return s.end(c)
}

func (c *cli) showQueues(rows []queueRow, now time.Time) error {
	if c.json() {
		for _, row := range rows {
			if err := c.object(row); err != nil {
				return err
			}
		}
		return nil
	}
	columns := []string{"queue", "paused", "lag", "scheduled", "retrying", "running", "dead"}
	for _, outcome := range rated {
		columns = append(columns, outcome+"/min")
	}
	w := newTable(append(columns, "oldest")...)
	for _, r := range rows {
		line := []any{printable(r.Queue), yesNo(r.Paused), figure(r.Lag), r.count(task.Scheduled, r.Scheduled), r.count(task.Retrying, r.Retrying), r.count(task.Running, r.Running), figure(r.Dead)}
		for _, outcome := range rated {
			line = append(line, r.rate(outcome))
		}
		w.AppendRow(append(line, ago(r.Oldest, now)))
	}
	return c.data([]byte(w.Render() + "\n"))
}

// figure is a number for a table, "-" if it is not known.
func figure[N int | int64](n *N) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// count is the number of tasks in a state, with a plus if there may be more.
func (r queueRow) count(state task.State, n *int) string {
	if slices.Contains(r.More, state) {
		return figure(n) + "+"
	}
	return figure(n)
}

// rate is a rate for a table.
func (r queueRow) rate(outcome string) string {
	rate, ok := r.Rates[outcome]
	switch {
	case !ok:
		return "-"
	case rate == 0 || rate >= 10:
		return fmt.Sprintf("%.0f", rate)
	default:
		return fmt.Sprintf("%.1f", rate)
	}
}

func yesNo(is *bool) string {
	switch {
	case is == nil:
		return "-"
	case *is:
		return "yes"
	default:
		return "no"
	}
}
