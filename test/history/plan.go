package history

import (
	"hash/fnv"
	"time"

	"github.com/tasktier/tasktier/task"
)

// A Plan is what a task is meant to do. Its handler does it, and the check holds it to that. In JSON it can be the payload.
type Plan struct {
	// Type of the task.
	Type string `json:"type"`
	// End is the reason for which it dies in the end; "" if it succeeds. It needs the fields below that lead there.
	End task.Reason `json:"end,omitempty"`
	// Fails is how often it fails in each generation before that.
	Fails int `json:"fails,omitempty"`
	// Snoozes is how often it snoozes in each generation before that.
	Snoozes int `json:"snoozes,omitempty"`
	// Kills says that it takes its process down whenever it is run: End is "poison".
	Kills bool `json:"kills,omitempty"`
	// Mended is the generation from which on it succeeds, whatever End is. 0: none.
	Mended int `json:"mended,omitempty"`
	// Takes is how long its handler takes, in milliseconds.
	Takes int `json:"takes,omitempty"`
	// Deaf says that its handler does not heed its context.
	Deaf bool `json:"deaf,omitempty"`
	// MaxAttempts is how often it may be tried. 0: as the queue says, which is more than Fails.
	MaxAttempts int `json:"max_attempts,omitempty"`
	// NotBefore is the earliest start.
	NotBefore Moment `json:"not_before,omitempty"`
	// Expires is the latest start: without luck it is dead as expired then. 0: never.
	Expires Moment `json:"expires,omitempty"`
	// Limit is how many tasks of its type may run at once in the cluster. 0: any number.
	Limit int `json:"limit,omitempty"`
	// Key is its ordering key, in an ordered queue: tasks with the same key of a queue run one at a time, in order.
	Key string `json:"key,omitempty"`
	// Timeout is that of an attempt: a handler that gives up after it has failed. 0: longer than it takes.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// ends is the reason for which the task dies in a generation; "" if it succeeds.
func (p *Plan) ends(generation int) task.Reason {
	if p.Mended > 0 && generation >= p.Mended {
		return ""
	}
	return p.End
}

// Hash names a payload.
func Hash(payload []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(payload) // it never fails
	return h.Sum64()
}
