package deadletter

import (
	"context"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/outbox"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// A Death is a task that is to be dead.
type Death struct {
	// Queue whose dead-letter topic it goes to.
	Queue string
	// Record as it was read from Q.pending; it is not changed.
	Record *kgo.Record
	// Task is what was read of it; nil, or one without identity, if it could not be decoded.
	Task *task.Task
	// Reason and Err say why; of Err the first 4 KiB are kept.
	Reason task.Reason
	Err    error
	// Crashes is how many processes died while they ran it.
	Crashes int
	// Origin is the record's "topic/partition/offset".
	Origin string
}

// A Writer writes letters. It is safe for concurrent use.
type Writer struct {
	outbox *outbox.Outbox
	node   string
}

// NewWriter returns a writer that produces with client, which stays its owner's, under the name of node.
func NewWriter(client *kgo.Client, node string, log *zap.Logger) *Writer {
	return &Writer{outbox: outbox.New(client, "a dead letter", log), node: node}
}

// Write sends a letter and calls done exactly once: with nil when all in-sync replicas have it, or with ctx's error when
// ctx ended before that; then it is unknown whether the letter was written. It returns at once unless the client's buffer
// is full. done must not block.
func (w *Writer) Write(ctx context.Context, d Death, done func(error)) {
	died := time.Now()
	w.outbox.Send(ctx, outbox.Parcel{Render: func() *kgo.Record { return w.render(d, died) }, Done: done})
}

// Close waits until every letter's done was called. End their contexts first.
func (w *Writer) Close() { w.outbox.Close() }

// render makes the letter's record.
func (w *Writer) render(d Death, died time.Time) *kgo.Record {
	s := record.Stamp{Reason: d.Reason, Err: d.Err.Error(), Origin: d.Origin, Node: w.node, Died: died, Crashes: d.Crashes, Key: d.Record.Key}
	if old, err := record.ReadStamp(d.Record); err == nil {
		s.FirstErr = old.FirstErr
	}
	if s.FirstErr == "" {
		s.FirstErr = s.Err
	}
	key := OriginKey(d.Origin)
	if t := d.Task; t != nil && t.ID != "" && t.Source != "" {
		key = Key(t.Source, t.ID, t.Generation)
		s.Generation, s.Turn, s.Attempt = t.Generation, t.Turn, t.Attempt
	}
	return record.Move(d.Record, names.Dead(d.Queue), key, s)
}
