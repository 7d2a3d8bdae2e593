package schedule

import (
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/schedule/cron"
	"github.com/tasktier/tasktier/task"
)

// Source is the source of all tasks that schedules send.
const Source = "/tasktier/schedules"

// An Entry is one schedule.
type Entry struct {
	// Name tells it from the others of its queue: ASCII letters, digits, '_', '-' and '.'. Its tasks' ids begin with it.
	Name string
	// Cron and Zone say when; see package schedule/cron.
	Cron, Zone string
	// Type is the type of the tasks.
	Type string
	// Data is their payload, in JSON. Nil: none.
	Data []byte
	// Missed says what becomes of ticks that were missed. Empty: [Skip].
	Missed Missed
}

// Missed says what becomes of ticks that passed while there was no leader to send their tasks, or only one that couldn't.
type Missed string

const (
	// Skip drops them.
	Skip Missed = "skip"
	// Once sends the newest of them.
	Once Missed = "once"
	// All sends each, up to the newest [CatchUp].
	All Missed = "all"
)

// CatchUp bounds how many ticks that were missed are made up for.
const CatchUp = 1000

// Grace is how late a tick may be and is not missed.
const Grace = time.Minute

// limit is how many missed ticks are made up for.
func (m Missed) limit() int {
	switch m {
	case Once:
		return 1
	case All:
		return CatchUp
	default:
		return 0
	}
}

// Task is the task of a tick.
func (e Entry) Task(queue string, tick time.Time) *task.Task {
	t := e.task(queue, task.ID(e.Name+"@"+tick.UTC().Format(time.RFC3339)))
	t.Time = tick.UTC()
	return t
}

// Extra is a task beside the ticks: it has an id of its own.
func (e Entry) Extra(queue string) *task.Task {
	t := e.task(queue)
	t.Time = time.Now()
	return t
}

func (e Entry) task(queue string, opts ...task.Option) *task.Task {
	opts = append(opts, task.Source(Source), task.Queue(queue))
	if e.Data != nil {
		opts = append(opts, task.ContentType("application/json"))
	}
	return task.New(e.Type, e.Data, opts...)
}

// parse refuses what can't be.
func (e Entry) parse() (cron.Expression, error) {
	expression, err := cron.Parse(e.Cron, e.Zone)
	switch {
	case e.Name == "":
		err = errors.New("it has no name")
	case e.Type == "":
		err = errors.New("it has no type")
	case e.Missed != "" && e.Missed != Skip && e.Missed != Once && e.Missed != All:
		err = fmt.Errorf("missed is %q; use skip, once or all", e.Missed)
	}
	if err != nil {
		return cron.Expression{}, fmt.Errorf("configure schedule %q: %w", e.Name, err)
	}
	return expression, nil
}
