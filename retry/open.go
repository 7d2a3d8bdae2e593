package retry

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

const (
	// reviewEvery bounds the time between two reviews.
	reviewEvery = time.Second
	// backwards is how far the wall clock may go back before slots are opened again for it.
	backwards = time.Second
)

// review opens the slots whose time has come, closes those whose time is over, and begins another pass where memory was
// short.
func (f *Forwarder) review(now time.Time) {
	wentBack := now.Round(0).Before(f.reviewed.Round(0).Add(-backwards))
	f.reviewed = now
	f.reviewAt = now.Add(reviewEvery)
	for _, s := range f.slots {
		switch {
		case s.leaving:
		case s.opening != nil:
			f.reviewOpen(s, now)
		default:
			if wentBack {
				// Slots that were closed by the clock as it was may be open by this one, or still to come.
				s.start = earlier(s.start, s.upcoming(now))
			}
			if until := s.opens().Sub(now); until > 0 {
				f.reviewAt = earlier(f.reviewAt, now.Add(until))
			} else if len(f.opened) < maxReaders || now.Before(s.closes()) {
				f.open(s) // in its time always; what is overdue waits for others that are
			}
		}
	}
}

func (f *Forwarder) reviewOpen(s *slot, now time.Time) {
	o := s.opening
	if latest := s.tier.Latest(s.partition, now); latest.After(s.start) {
		// It could not be closed before the partition's next slot opened, and goes on as that. What was held back for it
		// was not kept.
		if o.held {
			o.floor, o.held = o.floor.or(s.end(), 0), false
		}
		s.start = latest
	}
	switch {
	case !o.idle():
	case o.floor != everything && !o.caughtUp() && !o.atEnd():
		// It may yet find records that come before those it dropped.
		if now.Sub(o.checked) > reviewEvery {
			f.lookAtEnd(o)
		}
	case o.floor != everything:
		// All that was kept is forwarded: the rest is read now.
		o.stop()
		f.startReading(o, o.nextPass())
	case now.Before(s.closes()):
	case !o.over():
		f.lookAtEnd(o)
	default:
		f.keep(o)
		s.closed(max(s.progress.offset, o.upTo))
		f.touch(s)
		f.closeOpening(s)
		s.start = s.tier.Next(s.partition, now)
	}
}

// upcoming is the slot of a partition whose time is now, or else comes next.
func (s *slot) upcoming(now time.Time) time.Time {
	if latest := s.tier.Latest(s.partition, now); now.Before(latest.Add(s.tier.OpenFor)) {
		return latest
	}
	return s.tier.Next(s.partition, now)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// keep notes how far an opening came. While it has not read as far as an earlier one did, what that one noted says more.
func (f *Forwarder) keep(o *opening) {
	at := o.tracker.Offset()
	if at < 0 {
		return
	}
	o.slot.committed = at
	if m := o.forwarded(); m.offset >= o.slot.progress.offset {
		o.slot.progress = m
	}
}

// open begins to read a slot where the group's commit is.
func (f *Forwarder) open(s *slot) {
	s.opening = newOpening(s)
	f.opened = append(f.opened, s)
	f.startReading(s.opening, s.committed)
}

// startReading begins a pass at an offset.
func (f *Forwarder) startReading(o *opening, from int64) {
	var ctx context.Context
	ctx, o.stop = context.WithCancel(f.writing)
	pass, topic, partition := o.pass, o.slot.topic, o.slot.partition
	f.background.Go(func() {
		f.read(ctx, topic, partition, from, func(records []*kgo.Record) {
			select {
			case f.reads <- read{o, pass, records}:
			case <-ctx.Done():
			}
		})
	})
}

// closeOpening ends the reading of a slot. What flies of it goes on, and nobody waits for it.
func (f *Forwarder) closeOpening(s *slot) {
	o := s.opening
	if o == nil {
		return
	}
	s.opening = nil
	f.opened = slices.DeleteFunc(f.opened, func(other *slot) bool { return other == s })
	f.bytes -= o.wait.bytes
	o.stop()
	for it := range o.flying {
		f.flying -= it.bytes
	}
	clear(o.flying)
}

// read fetches a partition from an offset on until ctx ends. Every pass has a client of its own: what it fetched is gone
// with it, and a long poll of one slot never delays the opening of another.
func (f *Forwarder) read(ctx context.Context, topic string, partition int32, from int64, give func([]*kgo.Record)) {
	client, err := kgo.NewClient(append(append([]kgo.Opt{}, f.cfg.Kafka...), writesNothing(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}),
		// What was trimmed is forwarded; what was truncated is gone. Both go on with what is there.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(1<<20), kgo.FetchMaxPartitionBytes(1<<20),
	)...)
	if err != nil {
		f.cfg.Log.Error("read retry tier failed", zap.Error(err))
		return
	}
	defer client.Close()
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, 2*burst)
		if err := fetches.Err(); err != nil && ctx.Err() == nil {
			f.cfg.Log.Error("read retry tier failed; trying on", zap.String("topic", topic), zap.Int32("partition", partition), zap.Error(err))
			select {
			case <-time.After(lookAgain):
			case <-ctx.Done():
			}
		}
		if records := fetches.Records(); len(records) > 0 {
			give(records)
		}
	}
}

// writesNothing takes the place of what the configuration says about compression: kgo writes to the list of codecs of an
// option when it builds a client, and these are built side by side from the same options.
func writesNothing() kgo.Opt { return kgo.ProducerBatchCompression(kgo.NoCompression()) }

// lookAtEnd asks for the end of a log that is to be closed.
func (f *Forwarder) lookAtEnd(o *opening) {
	if o.looking {
		return
	}
	o.looking = true
	topic, partition := o.slot.topic, o.slot.partition
	f.background.Go(func() {
		at := time.Now()
		ends, err := f.adm.ListEndOffsets(f.writing, topic)
		end, ok := ends.Lookup(topic, partition)
		f.do(func() {
			o.looking = false
			if err == nil && ok && end.Err == nil {
				o.end, o.checked = end.Offset, at
			}
		})
	})
}
