package retry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/outbox"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// A Wait is a task that is to come back.
type Wait struct {
	// Queue it comes back to.
	Queue string
	// Record as it was read; it is not changed.
	Record *kgo.Record
	// Due is when. Past: at once.
	Due time.Time
	// Generation, Turn and Attempt are those of the turn to come.
	Generation, Turn, Attempt int
	// Home, if not 0, is one more than the partition of its queue that a task goes to that is due at once.
	Home int32
	// Err is the last error and FirstErr the first one of this generation; empty if there was none.
	Err, FirstErr string
}

// A Writer hands records on to their next time. It is safe for concurrent use.
type Writer struct {
	outbox *outbox.Outbox
	prefix string
}

// NewWriter returns a writer for the tiers of the installation prefix. The client stays its owner's; it must have been
// built with [OutOptions].
func NewWriter(client *kgo.Client, prefix string, log *zap.Logger) *Writer {
	return &Writer{outbox: outbox.New(client, "a task that is to come back", log), prefix: prefix}
}

// ErrTooLarge is what done gets when the topic that the record belongs to does not take records of its size, even without
// its errors: trying on would be in vain.
var ErrTooLarge = errors.New("the record is larger than its topic takes")

const (
	// putOffAfter is how long a queue may refuse a task before the task waits on.
	putOffAfter = 5 * time.Second
	// putOff is how long it waits then, before it is tried again.
	putOff = 5 * time.Minute
)

// Write hands a record on and calls done exactly once: with nil when all in-sync replicas have its copy, with
// [ErrTooLarge], or with ctx's error when ctx ended before that; then it is unknown whether it was written. What the broker
// refuses is routed and tried again; what a queue goes on refusing waits in the tiers and comes back to it later. Write
// returns at once unless the client's buffer is full; done must not block.
func (w *Writer) Write(ctx context.Context, wait Wait, done func(error)) {
	w.outbox.Send(ctx, outbox.Parcel{
		Render:  func() *kgo.Record { return w.render(wait) },
		Refused: wait.refused,
		Done:    done,
	})
}

// refused says whether to try on, and how.
func (wait *Wait) refused(r *kgo.Record, err error, after time.Duration) error {
	var refusal *kerr.Error
	switch {
	case errors.Is(err, kerr.MessageTooLarge) && wait.Err == "" && wait.FirstErr == "":
		return fmt.Errorf("%w: %s, %d bytes", ErrTooLarge, r.Topic, record.Size(r))
	case errors.Is(err, kerr.MessageTooLarge):
		wait.Err, wait.FirstErr = "", "" // the room for them is the tiers' only
	case errors.As(err, &refusal) && after > putOffAfter:
		// A topic that is missing may stay so. Its tasks wait on in the tiers, where they cost no memory.
		wait.Due = time.Now().Add(putOff)
	}
	return nil
}

// Close waits until every record's done was called. End their contexts first.
func (w *Writer) Close() { w.outbox.Close() }

// render makes the copy for where the task belongs now.
func (w *Writer) render(wait Wait) *kgo.Record {
	s := record.Stamp{Generation: wait.Generation, Turn: wait.Turn, Attempt: wait.Attempt, Err: wait.Err, FirstErr: wait.FirstErr}
	place := tier.Route(wait.Due, time.Now())
	if !place.Wait {
		r := record.Move(wait.Record, names.Pending(wait.Queue), wait.Record.Key, s)
		if wait.Home > 0 {
			r.Context = tier.Home(wait.Home - 1)
		}
		return r
	}
	s.Queue, s.Due = wait.Queue, wait.Due
	r := record.Move(wait.Record, place.Topic(w.prefix), wait.Record.Key, s)
	r.Partition = place.Partition
	return r
}
