package claim

import (
	"time"

	"github.com/tasktier/tasktier/task"
)

// An Entry is a line of a list of tasks: what its claim says, and whose it is.
type Entry struct {
	Queue      string     `json:"queue"`
	Source     string     `json:"source"`
	ID         string     `json:"id"`
	Type       string     `json:"type"`
	State      task.State `json:"state"`
	Generation int        `json:"generation"`
	Turn       int        `json:"turn"`
	Attempt    int        `json:"attempt"`
	Crashes    int        `json:"crashes,omitempty"`
	Owner      string     `json:"owner,omitempty"`
	// At is since when a task runs, when it ended, or when one that waits may start.
	At time.Time `json:"at"`
}

func newEntry(queue, source, id string, c Claim, now time.Time) Entry {
	return Entry{
		Queue: queue, Source: source, ID: id, Type: c.Type, State: c.TaskState(now),
		Generation: c.Generation, Turn: c.Turn, Attempt: c.Attempt, Crashes: c.Crashes, Owner: c.Owner, At: c.Time(),
	}
}

func (h *Hold) entry(now time.Time) Entry {
	return newEntry(h.Task.Queue, h.Task.Source, h.Task.ID, h.have, now)
}

// running returns what runs here now.
func (b *Book) running() []Entry {
	var entries []Entry
	now := time.Now()
	for _, h := range b.register.all() {
		h.mu.Lock()
		if h.have.atWork() {
			entries = append(entries, h.entry(now))
		}
		h.mu.Unlock()
	}
	return entries
}
