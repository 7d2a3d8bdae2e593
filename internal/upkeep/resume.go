package upkeep

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tasktier/tasktier/internal/nap"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

const (
	// patience bounds each try to resume or reset, and each round of a duty.
	patience = 30 * time.Second
	// tries is how often a group that others join meanwhile is looked at, with pause in between.
	tries = 5
	pause = time.Second
)

// An UnknownOffsetError says that partitions of a queue were used, and that nobody knows how far.
type UnknownOffsetError struct {
	Queue      string
	Topic      string
	Partitions []int32
}

// Error says what happened and which command decides.
func (e *UnknownOffsetError) Error() string {
	which := "partition"
	if len(e.Partitions) > 1 {
		which += "s"
	}
	numbers := strings.Trim(strings.ReplaceAll(fmt.Sprint(e.Partitions), " ", ", "), "[]")
	return fmt.Sprintf("queue %s: Kafka has forgotten how far %s %s of %s had been worked off, as it does when no node has run for 7 days, and the mirror in etcd does not know either; "+
		"decide with: `tasktier queue reset %s --to start` runs what is left there again, finished or not; `tasktier queue reset %s --to end` gives it up",
		e.Queue, which, numbers, e.Topic, e.Queue, e.Queue)
}

// Resume gives groups their offsets back where Kafka has forgotten them and a mirror has not. A node calls it before it
// joins the groups of its queues, and of the [Tiers]; several may at the same time. Partitions whose offsets are known,
// that were never used, or that are empty are left alone.
//
// For each queue with used partitions of which nobody knows anything the error has an [*UnknownOffsetError]: the node must not
// join then, as history would run again. Where nodes are in the group already, that is decided, and it is logged only.
func Resume(ctx context.Context, in Installation, queues ...string) error {
	var errs []error
	for _, queue := range queues {
		errs = append(errs, in.resume(ctx, in.reader(queue)))
	}
	return errors.Join(errs...)
}

func (in Installation) resume(ctx context.Context, r reader) error {
	for try := 1; ; try++ {
		open, err := in.tryResume(ctx, r)
		// A topic that was created a moment ago has no leaders yet, or not every broker has heard of it.
		again := err == nil && len(open) > 0 || errors.Is(err, errNoAnswer) || Passing(err)
		if !again || err != nil && try == tries {
			return err
		}
		if try == tries {
			r.log.Warn("nodes work on partitions whose offsets nobody has resumed; they began at the oldest record that was left",
				zap.String("group", r.group), zap.Int32s("partitions", open))
			return nil
		}
		if !nap.For(ctx, pause) {
			return context.Cause(ctx)
		}
	}
}

// Passing says whether an error of Kafka may be gone at another time: a broker that moves, restarts or drops connections. One
// that [Resume] returns was there at every try.
func Passing(err error) bool { return kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err) }

// tryResume resumes what can be. It returns the partitions that members of the group keep it from; if they resumed as they
// should, their commits are seen at the next try.
func (in Installation) tryResume(ctx context.Context, r reader) (open []int32, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := in.survey(ctx, r)
	if err != nil {
		return nil, err
	}
	lacking := false
	for _, p := range s.partitions {
		if p.committed != unknown {
			continue
		}
		if p.end == unknown {
			return nil, p.silent()
		}
		lacking = lacking || p.end > p.start
	}
	if !lacking {
		return nil, nil // nor is etcd needed
	}
	m, _, err := in.readMirror(ctx, r)
	if err != nil {
		return nil, err
	}
	known, lost := r.resumption(s, m)
	switch err := in.commit(ctx, r, known); {
	case errors.Is(err, errBusy):
		for _, k := range known {
			open = append(open, k.Partition)
		}
		return append(open, lost...), nil
	case err != nil:
		return nil, err
	case len(known) > 0:
		r.log.Warn("Kafka has forgotten offsets; their mirror in etcd was taken", zap.String("group", r.group), zap.Int("partitions", len(known)))
	}
	if len(lost) == 0 {
		return nil, nil
	}
	members, err := in.members(ctx, r.group)
	if err != nil {
		return nil, err
	}
	if members > 0 {
		return lost, nil
	}
	return nil, &UnknownOffsetError{Queue: r.queue, Topic: r.topics[0], Partitions: lost}
}

// resumption says where partitions without a committed offset go on: at what the mirror knows, and which ones nobody knows
// anything of though they were used. The others begin at their start: those that were never used, those that are empty,
// and those of the tiers, as forwarding twice does no harm.
func (r reader) resumption(s survey, m mirror) (known []Moved, lost []int32) {
	for _, p := range s.partitions {
		if p.committed != unknown || p.end == p.start {
			continue
		}
		at := m.of(p.topic, s.ids[p.topic], p.number)
		switch {
		case at != unknown && at <= p.end:
			known = append(known, Moved{Topic: p.topic, Partition: p.number, Offset: max(at, p.start), Start: p.start, End: p.end, Mirrored: true})
		case r.queue == Tiers:
		case p.start > 0 || at != unknown: // trimmed, or cut since it was mirrored
			lost = append(lost, p.number)
		}
	}
	return known, lost
}
