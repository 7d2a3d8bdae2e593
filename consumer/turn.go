package consumer

import (
	"fmt"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A turn is a record of Q.pending on its way through the consumer, from the poll to its completed offset. At any moment
// it is in exactly one place: ready (in slots), being begun, won (in slots), behind another in its lane, aside until a
// time, at work, or settled.
type turn struct {
	task   task.Task
	record *kgo.Record
	part   *partition
	place  uint64    // in the partition's tracker
	bytes  int64     // charged to the window
	bad    error     // why the record is no task that can be obeyed; a *record.Error
	lane   string    // the ordering key, or "" when it waits for nobody
	missed time.Time // when a node first knew no handler for it; zero: none has been missed

	// When it was polled, and when its claim was won, since the consumer was made.
	since, wonAt time.Duration
	// Under the partition's lock: a copy is being written; was written, and the offset is complete; the turn has ended.
	moving, moved, settled bool

	hold   *claim.Hold // its dealing with its claim; nil without claims, and before it is begun
	begged bool        // its begin is counted by the slots, until it is answered
	waited int         // how often in a row it was held
	lonely int         // how often in a row it could not have its node for itself
	solo   bool        // it must run alone on this node
	lone   bool        // it does
	run    run         // of the attempt at work

	ticket *ticket       // while its type is paused or limited; see gates.go
	rooted bool          // there can be no copy of it
	stood  time.Duration // when it came to its gate first; 0: it has not since it was at work
}

// ahead is how long until the task may start; 0 if it names no time. It looks at the clock only if there is one.
func (t *turn) ahead() time.Duration {
	if t.task.NotBefore.IsZero() {
		return 0
	}
	return time.Until(t.task.NotBefore)
}

// origin names the record: topic/partition/offset.
func (t *turn) origin() string {
	return fmt.Sprintf("%s/%d/%d", t.record.Topic, t.record.Partition, t.record.Offset)
}

// won says whether the claim is the turn's: its handler may start, and whoever drops it must release it.
func (t *turn) won() bool { return t.hold != nil && t.hold.Won() }
