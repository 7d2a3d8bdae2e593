// Package outbox produces records until they are acknowledged: for what must follow before an offset may be completed.
package outbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/tasktier/tasktier/internal/nap"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/throttle"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// An Outbox produces with a client that stays its owner's. It is safe for concurrent use.
type Outbox struct {
	client *kgo.Client
	alone  alone
	what   string // what a record is, for the log
	log    *zap.Logger

	pending  sync.WaitGroup // records whose done was not called yet
	warnings throttle.Throttle
}

// New returns an outbox of records that the log calls what.
func New(client *kgo.Client, what string, log *zap.Logger) *Outbox {
	return &Outbox{client: client, alone: alone{like: client}, what: what, log: log}
}

// A Parcel is a record to be sent.
type Parcel struct {
	// Render makes the record, for every try anew.
	Render func() *kgo.Record
	// Refused, if not nil, is told that the broker refused a try, and how long it has been trying. An error that it
	// returns ends the trying; what it changes counts for the next Render. If it is told that the record is too large, the
	// record was alone in its batch.
	Refused func(r *kgo.Record, err error, after time.Duration) error
	// Done is called exactly once: with nil when all in-sync replicas have the record, with Refused's error, or with an
	// error when the context ended before that; then it is unknown whether the record was written. It must not block.
	Done func(error)
}

// Send sends a parcel. It returns at once unless the client's buffer is full. What is refused is tried again with growing
// pauses, and logged at most every half minute.
func (o *Outbox) Send(ctx context.Context, p Parcel) {
	o.pending.Add(1)
	o.try(ctx, p, nil)
}

// Close waits until every parcel's Done was called. End their contexts, or close the client, first. What is being sent alone,
// by a client of the outbox's own, ends here.
func (o *Outbox) Close() {
	o.alone.close()
	o.pending.Wait()
}

func (o *Outbox) done(p Parcel, err error) {
	p.Done(err)
	o.pending.Done()
}

func (o *Outbox) try(ctx context.Context, p Parcel, pause *backoff.ExponentialBackOff) {
	o.client.Produce(ctx, p.Render(), func(r *kgo.Record, err error) {
		if errors.Is(err, kerr.MessageTooLarge) && ctx.Err() == nil {
			// Too large is its batch. The parcel is pending meanwhile, so Close waits for this goroutine too.
			go o.tryAlone(ctx, p, pause)
			return
		}
		o.tried(ctx, p, pause, r, err, o.try)
	})
}

// tryAlone is try without company. It waits for its turn.
func (o *Outbox) tryAlone(ctx context.Context, p Parcel, pause *backoff.ExponentialBackOff) {
	client, err := o.alone.client()
	if err != nil {
		o.done(p, err)
		return
	}
	client.Produce(ctx, p.Render(), func(r *kgo.Record, err error) { o.tried(ctx, p, pause, r, err, o.tryAlone) })
}

// tried ends a try, and has another follow where that may be of use.
func (o *Outbox) tried(ctx context.Context, p Parcel, pause *backoff.ExponentialBackOff, r *kgo.Record, err error, again func(context.Context, Parcel, *backoff.ExponentialBackOff)) {
	if err == nil || ctx.Err() != nil || errors.Is(err, kgo.ErrClientClosed) {
		o.done(p, err)
		return
	}
	if pause == nil {
		// By default it would give up after a quarter of an hour.
		pause = nap.Backoff(100*time.Millisecond, 10*time.Second)
	}
	if p.Refused != nil {
		if err := p.Refused(r, err, pause.GetElapsedTime()); err != nil {
			o.done(p, err)
			return
		}
	}
	o.warn(r, err)
	// The parcel is pending meanwhile, so Close waits for this goroutine too.
	go func() {
		timer := time.NewTimer(pause.NextBackOff())
		defer timer.Stop()
		select {
		case <-timer.C:
			again(ctx, p, pause)
		case <-ctx.Done():
			o.done(p, ctx.Err())
		}
	}()
}

func (o *Outbox) warn(r *kgo.Record, err error) {
	if o.warnings.Allow() {
		o.log.Error(o.what+" is refused; trying on, its task's offset is held", zap.String("topic", r.Topic),
			zap.Int("bytes", record.Size(r)), zap.ByteString("key", r.Key), zap.Error(err))
	}
}
