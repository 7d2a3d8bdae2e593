package deadletter

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// A Letter is a task that is to be dead.
type Letter struct {
	// Queue whose dead-letter topic it goes to.
	Queue string
	// Record as it was read from Q.pending; it is not changed.
	Record *kgo.Record
	// Task is what was read of it; nil, or one without identity, if it could not be decoded.
	Task *task.Task
	// Reason and Err say why; of Err the first 4 KiB are kept.
	Reason task.Reason
	Err    error
	// Origin is the record's "topic/partition/offset".
	Origin string
}

// A Writer writes letters. It is safe for concurrent use.
type Writer struct {
	client *kgo.Client
	node   string
	log    *zap.Logger

	pending  sync.WaitGroup // letters whose done was not called yet
	lastWarn atomic.Int64   // Unix nanoseconds
}

// NewWriter returns a writer that produces with client, which stays its owner's, under the name of node.
func NewWriter(client *kgo.Client, node string, log *zap.Logger) *Writer {
	return &Writer{client: client, node: node, log: log}
}

// Write sends a letter and calls done exactly once: with nil when all in-sync replicas have it, or with ctx's error when
// ctx ended before that; then it is unknown whether the letter was written. It returns at once unless the client's buffer
// is full. done must not block.
func (w *Writer) Write(ctx context.Context, l Letter, done func(error)) {
	w.pending.Add(1)
	w.try(ctx, w.render(l), nil, func(err error) {
		done(err)
		w.pending.Done()
	})
}

// Close waits until every letter's done was called. End their contexts first.
func (w *Writer) Close() { w.pending.Wait() }

// render makes the letter's record.
func (w *Writer) render(l Letter) *kgo.Record {
	s := record.Stamp{Reason: l.Reason, Err: l.Err.Error(), Origin: l.Origin, Node: w.node, Died: time.Now()}
	if old, err := record.ReadStamp(l.Record); err == nil {
		s.FirstErr = old.FirstErr
	}
	if s.FirstErr == "" {
		s.FirstErr = s.Err
	}
	key := OriginKey(l.Origin)
	if t := l.Task; t != nil && t.ID != "" && t.Source != "" {
		key = Key(t.Source, t.ID, t.Generation)
		s.Generation, s.Turn, s.Attempt = t.Generation, t.Turn, t.Attempt
	}
	return record.Move(l.Record, names.Dead(l.Queue), key, s)
}

// try produces the record; when the broker refuses it, again after a while.
func (w *Writer) try(ctx context.Context, r *kgo.Record, pause *backoff.ExponentialBackOff, done func(error)) {
	w.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
		switch {
		case err == nil:
			done(nil)
			return
		case ctx.Err() != nil || errors.Is(err, kgo.ErrClientClosed):
			done(err)
			return
		}
		w.warn(r, err)
		if pause == nil {
			pause = backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
				backoff.WithMaxInterval(10*time.Second), backoff.WithMaxElapsedTime(0))
		}
		// The letter counts as pending meanwhile, so Close waits for this goroutine too.
		go func() {
			timer := time.NewTimer(pause.NextBackOff())
			defer timer.Stop()
			select {
			case <-timer.C:
				w.try(ctx, r, pause, done)
			case <-ctx.Done():
				done(ctx.Err())
			}
		}()
	})
}

func (w *Writer) warn(r *kgo.Record, err error) {
	now, last := time.Now().UnixNano(), w.lastWarn.Load()
	if now-last > int64(30*time.Second) && w.lastWarn.CompareAndSwap(last, now) {
		w.log.Error("a dead letter is refused; trying on, its task's offset is held", zap.String("topic", r.Topic),
			zap.Int("bytes", record.Size(r)), zap.ByteString("key", r.Key), zap.Error(err))
	}
}
