package producer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// taskOverhead is what an outstanding task costs in memory beyond its bytes on the wire: the record, its headers, the
// delivery and the client's bookkeeping.
const taskOverhead = 1 << 10

// A Receipt says where a task was written.
type Receipt struct {
	ID, Source string
	Queue      string
	Topic      string
	Partition  int32
	Offset     int64
}

// A delivery is one task on its way.
type delivery struct {
	p       *Producer
	ctx     context.Context
	record  *kgo.Record
	task    *task.Task // for Config.Acknowledged; nil without it
	receipt Receipt
	granted int
	done    func(Receipt, error)
	async   bool // done is the caller's: it is called by the dispatcher

	err error // what to tell done, once known
}

// deliver sends t and has done called once, either before deliver returns (never for async) or later.
func (p *Producer) deliver(ctx context.Context, t *task.Task, async bool, done func(Receipt, error)) {
	d := &delivery{p: p, ctx: ctx, done: done, async: async}
	if err := d.prepare(t); err != nil {
		d.finish(err)
		return
	}
	granted, err := p.budget.acquire(ctx, record.Size(d.record)+taskOverhead)
	if err != nil {
		if !errors.Is(err, ErrClosed) {
			err = d.noRoom(err)
		}
		d.finish(err)
		return
	}
	d.granted = granted
	p.client.Produce(ctx, d.record, d.promise)
}

// prepare turns t, or a copy with the defaults filled in, into the record.
func (d *delivery) prepare(t *task.Task) error {
	if t == nil {
		return fmt.Errorf("%w: it is nil", task.ErrInvalid)
	}
	c := *t
	if c.Source == "" {
		c.Source = d.p.cfg.Source
	}
	topic := d.p.topicOf(t)
	if c.Queue == "" {
		c.Queue = d.p.cfg.Queue
	} else if err := names.ValidQueue(c.Queue); err != nil {
		return fmt.Errorf("%w: %w", task.ErrInvalid, err)
	}
	if c.TraceParent == "" && d.p.cfg.Trace != nil {
		c.TraceParent, c.TraceState = d.p.cfg.Trace(d.ctx)
	}
	d.receipt = Receipt{ID: c.ID, Source: c.Source, Queue: c.Queue, Topic: topic}
	if err := c.Validate(); err != nil {
		return err
	}
	for _, at := range [...]time.Time{c.Time, c.NotBefore, c.Expires} {
		if !at.IsZero() && (at.Before(firstTime) || !at.Before(endOfTime)) {
			return fmt.Errorf("%w: the time %v can't be written: years go from 0 to 9999", task.ErrInvalid, at)
		}
	}
	d.record = record.Encode(&c, topic)
	d.route(&c)
	if n := record.Size(d.record); n > d.p.cfg.MaxBytes {
		return fmt.Errorf("%w: %d bytes with its attributes, at most %d; keep the payload elsewhere and send where it is, "+
			"or raise Config.MaxBytes and the topic's max.message.bytes", ErrTooLarge, n, d.p.cfg.MaxBytes)
	}
	if d.p.cfg.Acknowledged != nil {
		sent := c // c itself stays off the heap where nobody asks
		d.task = &sent
	}
	return nil
}

// route sends a task that is not due yet to the retry tier where it waits.
func (d *delivery) route(t *task.Task) {
	due := t.NotBefore.Add(time.Millisecond - 1).Truncate(time.Millisecond) // never early
	place := tier.Route(due, time.Now())
	if t.NotBefore.IsZero() || !place.Wait {
		return
	}
	d.receipt.Topic = place.Topic(d.p.cfg.Prefix)
	d.record = record.Move(d.record, d.receipt.Topic, d.record.Key, record.Stamp{Queue: t.Queue, Due: due, Turn: 1, Attempt: 1})
	d.record.Partition = place.Partition
}

// topicOf is where t goes.
func (p *Producer) topicOf(t *task.Task) string {
	if t.Queue == "" || t.Queue == p.cfg.Queue {
		return p.topic
	}
	return names.Pending(t.Queue)
}

// The times that RFC 3339 can write.
var (
	firstTime = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	endOfTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// noRoom says that the task was never handed to the client.
func (d *delivery) noRoom(cause error) error {
	if dial := d.p.dials.lastError(); dial != nil && !errors.Is(dial, errNoConnection) {
		return fmt.Errorf("not sent: %w: %w", cause, d.p.unreachable(dial))
	}
	return fmt.Errorf("not sent: %w, while %d tasks were waiting for acknowledgement", cause, d.p.budget.outstanding())
}

// promise is called by the client, one record after another. It must not block.
//
// The client looks at the context of a batch's first record alone and, when that has ended, fails every record that
// waits for the same partition. Those whose own context is alive are innocent: they are sent again, by the dispatcher,
// because the client must not be called from here.
func (d *delivery) promise(r *kgo.Record, err error) {
	if (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) && d.ctx.Err() == nil {
		d.record = &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers}
		d.p.dispatcher.push(d)
		return
	}
	d.receipt.Partition, d.receipt.Offset = r.Partition, r.Offset
	d.record = nil
	d.finish(d.p.explain(d.ctx, r.Topic, err))
}

// finish reports the outcome. A caller's function is called by the dispatcher, or here once that has stopped.
func (d *delivery) finish(err error) {
	d.err, d.record = err, nil
	if d.async && d.p.dispatcher.push(d) {
		return
	}
	d.report()
}

// report calls the caller's functions and makes room, in this order: while they run, the task is outstanding.
func (d *delivery) report() {
	switch {
	case d.err != nil:
		d.done(Receipt{}, d.err)
	case d.task != nil:
		d.p.cfg.Acknowledged(d.receipt, d.task)
		fallthrough
	default:
		d.done(d.receipt, nil)
	}
	if d.granted > 0 {
		d.p.budget.release(d.granted)
	}
}

// step is the dispatcher's turn: to send again, or to report.
func (d *delivery) step() {
	if d.record != nil {
		d.p.client.Produce(d.ctx, d.record, d.promise)
		return
	}
	d.report()
}
