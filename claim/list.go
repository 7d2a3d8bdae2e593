package claim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tasktier/tasktier/task"
)

// A Filter says which tasks to list.
type Filter struct {
	// Queue is required.
	Queue string
	// State is one of those that can be listed: running, retrying, scheduled, succeeded, dead, canceled (while it ran:
	// one that was canceled before is no node's). Empty: all of them.
	State task.State
	// Type is a type of task. Empty: all.
	Type string
	// Since leaves out what ended, or began to run, earlier. Zero: nothing. Tasks that wait are not looked at for it.
	Since time.Time
	// Limit is how many tasks are returned at most. 0: 100.
	Limit int
}

func (f Filter) takes(e Entry) bool {
	waits := e.State == task.Retrying || e.State == task.Scheduled
	return e.Queue == f.Queue && (f.State == "" || e.State == f.State) && (f.Type == "" || e.Type == f.Type) &&
		(waits || f.Since.IsZero() || !e.At.Before(f.Since))
}

func (f Filter) wants(states ...task.State) bool {
	return f.State == "" || slices.Contains(states, f.State)
}

// ErrNotListed says that tasks in a state can't be listed.
var ErrNotListed = errors.New("tasks in this state are not listed")

// A Listing is an answer to List.
type Listing struct {
	// Entries are the running first, the longest at work ahead; then those that wait, the earliest due ahead; then those
	// that ended, the latest ahead.
	Entries []Entry
	// Full are the states of which there may be more than an index holds.
	Full []task.State
	// Silent is how many nodes did not say in time what they run. On a cluster that is not known: 0.
	Silent int
}

// List returns what is known of tasks beyond those that wait in Kafka: the nodes are asked what they run and what has ended
// there lately (the last 256 of each node that succeeded or were canceled), and the indexes in Redis have what was delayed,
// retries or died. What died is known for as long as its claim is kept; dead letters are in Kafka for good. The error wraps [ErrNotListed] for pending
// tasks, which are only in Kafka.
func (s *Store) List(ctx context.Context, f Filter) (Listing, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	var l Listing
	switch f.State {
	case "", task.Running, task.Retrying, task.Scheduled, task.Succeeded, task.Dead, task.Canceled:
	default:
		return l, fmt.Errorf("%w: %s", ErrNotListed, f.State)
	}
	var running, waiting, ended []Entry
	if f.wants(task.Running, task.Succeeded, task.Canceled) {
		reports, silent, err := s.ask(ctx)
		if err != nil {
			return l, err
		}
		l.Silent = silent
		for _, r := range reports {
			running, ended = append(running, r.Running...), append(ended, r.Recent...)
		}
	}
	for _, state := range []task.State{task.Retrying, task.Scheduled, task.Dead} {
		if !f.wants(state) {
			continue
		}
		entries, full, err := s.indexed(ctx, f, state)
		if err != nil {
			return l, err
		}
		if full {
			l.Full = append(l.Full, state)
		}
		if state == task.Dead {
			ended = append(ended, entries...)
		} else {
			waiting = append(waiting, entries...)
		}
	}
	l.Entries = latest(running, waiting, ended)
	l.Entries = slices.DeleteFunc(l.Entries, func(e Entry) bool { return !f.takes(e) })
	slices.SortFunc(l.Entries, byUrgency)
	l.Entries = l.Entries[:min(len(l.Entries), f.Limit)]
	return l, nil
}

// latest leaves one entry for each task: that of its latest turn.
func latest(lists ...[]Entry) []Entry {
	at := make(map[Identity]int)
	var entries []Entry
	for _, e := range slices.Concat(lists...) {
		id := Identity{e.Queue, e.Source, e.ID}
		i, known := at[id]
		switch {
		case !known:
			at[id] = len(entries)
			entries = append(entries, e)
		case later(e, entries[i]):
			entries[i] = e
		}
	}
	return entries
}

func later(a, b Entry) bool {
	return cmp.Or(cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.Turn, b.Turn), cmp.Compare(rank(a), rank(b)), a.At.Compare(b.At)) > 0
}

// rank orders the states in which one turn is seen.
func rank(e Entry) int {
	switch {
	case e.State.Terminal():
		return 2
	case e.State == task.Running:
		return 1
	default:
		return 0
	}
}

// byUrgency is the order of a listing.
func byUrgency(a, b Entry) int {
	group := func(e Entry) int {
		switch {
		case e.State == task.Running:
			return 0
		case e.State.Terminal():
			return 2
		default:
			return 1
		}
	}
	byTime := a.At.Compare(b.At)
	if a.State.Terminal() {
		byTime = -byTime
	}
	return cmp.Or(cmp.Compare(group(a), group(b)), byTime, cmp.Compare(a.ID, b.ID), cmp.Compare(a.Source, b.Source))
}
