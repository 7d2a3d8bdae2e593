package retry

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// maxAhead is the furthest due that is believed; queues have horizons of their own below it.
const maxAhead = 10 * 366 * 24 * time.Hour

// admit gives every record that was read a place and sends it on its way: into the heap, on at once, or nowhere.
func (f *Forwarder) admit(r read) {
	o := r.opening
	if o.slot.opening != o || o.pass != r.pass {
		return // closed meanwhile, or read by an earlier pass
	}
	now := time.Now()
	for _, rec := range r.records {
		if rec.Offset < o.upTo {
			f.cfg.Log.Error("a tier went back: it was truncated or re-created; reading it from its beginning",
				zap.String("topic", rec.Topic), zap.Int32("partition", rec.Partition), zap.Int64("offset", rec.Offset))
			o.slot.committed, o.slot.progress = 0, nothing
			f.closeOpening(o.slot)
			return
		}
		o.upTo = rec.Offset + 1
		place, ok := o.tracker.Find(rec.Offset)
		if !ok && rec.Offset >= o.tracker.Next() {
			place, ok = o.tracker.Add(rec.Offset, struct{}{})
		}
		if ok {
			f.place(o, rec, place, now)
		} // else an earlier pass finished it
	}
	f.touch(o.slot)
	f.shrink()
	if o.more() {
		f.reviewAt = time.Time{}
	}
}

// place decides what becomes of a record.
func (f *Forwarder) place(o *opening, rec *kgo.Record, place uint64, now time.Time) {
	s := o.slot
	stamp, err := record.ReadStamp(rec)
	it := &item{due: stamp.Due.UnixMilli(), offset: rec.Offset, place: place, record: rec, bytes: int64(record.Size(rec)) + itemBytes}
	switch {
	case err == nil && stamp.Queue == "":
		err = fmt.Errorf("names no queue to return to")
	case err == nil && stamp.Due.IsZero():
		err = fmt.Errorf("has no due time")
	case err == nil && stamp.Due.Sub(now) > maxAhead:
		err = fmt.Errorf("is due at %s", stamp.Due.Format(time.RFC3339))
	}
	if err != nil {
		it.due = math.MaxInt64 // no progress covers it, so it holds none back
		f.bury(o, it, task.ReasonInvalid, err)
		return
	}
	if o.done.covers(it.offset, it.due) {
		o.tracker.Finish(place)
		return
	}
	to := tier.Route(stamp.Due, now)
	here := to.Wait && to.Hour == s.hour && to.Partition == s.partition
	switch {
	case o.floor.reaches(it.offset, it.due):
		f.counts.dropped.Add(1) // also if it is due: the next pass takes all from there on
	case to.Wait && !here:
		f.launch(o, it) // of another slot
	case here && it.due >= s.end():
		// Of a lap to come: it stays where it is, and holds the commit back.
		o.held = true
	default:
		// Also if it is due: what leaves in the order of dues is what a floor tells apart from the rest.
		it.record = detach(rec)
		f.bytes += it.bytes
		o.wait.push(it)
	}
}

// itemBytes is about what an item takes beside its record's bytes.
const itemBytes = 400

// detach copies a record out of its batch, which would stay in memory as long as the record does.
func detach(r *kgo.Record) *kgo.Record {
	n := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Value)
	}
	buf := make([]byte, 0, n)
	copied := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		at := len(buf)
		buf = append(buf, b...)
		return buf[at:len(buf):len(buf)]
	}
	c := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: copied(r.Key), Value: copied(r.Value), Headers: slices.Clone(r.Headers)}
	for i := range c.Headers {
		c.Headers[i].Value = copied(c.Headers[i].Value)
		c.Headers[i].Key = strings.Clone(c.Headers[i].Key)
	}
	return c
}

// launch hands an item on: to its queue when it is due, else to the slot where it belongs.
func (f *Forwarder) launch(o *opening, it *item) {
	stamp, _ := record.ReadStamp(it.record) // it was read without error when it was admitted
	f.fly(o, it)
	if it.due <= time.Now().UnixMilli() {
		f.counts.forwarded.Add(1)
	} else {
		f.counts.routed.Add(1)
	}
	f.writer.Write(f.writing, Wait{
		Queue: stamp.Queue, Record: it.record, Due: stamp.Due,
		Generation: stamp.Generation, Turn: stamp.Turn, Attempt: stamp.Attempt, Err: stamp.Err, FirstErr: stamp.FirstErr,
	}, func(err error) { f.acknowledge(ack{opening: o, item: it, err: err}) })
}

// bury writes the dead letter of a record that can't be obeyed.
func (f *Forwarder) bury(o *opening, it *item, reason task.Reason, cause error) {
	f.counts.dead.Add(1)
	stamp, _ := record.ReadStamp(it.record) // what can't be read of it is why it is buried
	letter := deadletter.Death{
		Queue: stamp.Queue, Record: it.record, Reason: reason, Err: fmt.Errorf("record of a retry tier: %w", cause),
		Origin: fmt.Sprintf("%s/%d/%d", it.record.Topic, it.record.Partition, it.record.Offset),
	}
	t := &task.Task{}
	if record.Decode(it.record, t) == nil {
		letter.Task = t
	}
	if letter.Queue == "" || letter.Queue == f.cfg.Fallback {
		f.send(o, it, letter)
		return
	}
	// Whoever wrote the record may have made its queue up.
	f.fly(o, it)
	ctx, cancel := context.WithTimeout(f.writing, putOffAfter)
	f.letters.Write(ctx, letter, func(err error) {
		cancel()
		f.acknowledge(ack{opening: o, item: it, err: err, instead: func() { f.send(o, it, letter) }})
	})
}

// send writes a letter to the queue that takes those of records that name no other.
func (f *Forwarder) send(o *opening, it *item, letter deadletter.Death) {
	f.fly(o, it)
	letter.Queue = f.cfg.Fallback
	f.letters.Write(f.writing, letter, func(err error) { f.acknowledge(ack{opening: o, item: it, err: err}) })
}

// fly notes that an item is being written.
func (f *Forwarder) fly(o *opening, it *item) {
	o.flying[it] = true
	f.flying += it.bytes
}

// full says whether so much is being written that nothing more is begun: the loop must not wait for room in the producer,
// and what the brokers refuse must not fill the memory.
func (f *Forwarder) full() bool {
	return f.flying >= f.cfg.MaxBytes || f.out.BufferedProduceRecords() >= maxBuffered/2 || f.out.BufferedProduceBytes() >= maxBufferedBytes/2
}

// acknowledge is called by the clients; the loop settles.
func (f *Forwarder) acknowledge(a ack) {
	f.ackMu.Lock()
	f.acks = append(f.acks, a)
	f.ackMu.Unlock()
	select {
	case f.acked <- struct{}{}:
	default:
	}
}

// shrink keeps the heaps below the limit: the fullest one forgets its later half.
func (f *Forwarder) shrink() {
	for f.bytes > f.cfg.MaxBytes {
		var fullest *slot
		for _, s := range f.slots {
			if s.opening != nil && s.opening.wait.len() > 1 && (fullest == nil || s.opening.wait.bytes > fullest.opening.wait.bytes) {
				fullest = s
			}
		}
		if fullest == nil {
			return // single records that are larger than the limit
		}
		h := &fullest.opening.wait
		was, n := h.bytes, h.len()
		first := h.cut()
		fullest.opening.floor = mark{due: first.due, at: first.offset}
		f.bytes -= was - h.bytes
		f.counts.dropped.Add(uint64(n - h.len()))
	}
}
