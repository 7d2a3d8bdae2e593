package retry

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// The forwarders of an installation are one consumer group over both tiers. The group's client never fetches: it knows
// who has which partition, and commits.

const (
	commitPatience = 5 * time.Second
	// lookAgain is the pause after the offsets of new partitions could not be read.
	lookAgain = time.Second
)

func (f *Forwarder) groupOptions(ctx context.Context) []kgo.Opt {
	return append(append([]kgo.Opt{}, f.cfg.Kafka...), writesNothing(),
		kgo.WithContext(ctx),
		kgo.ConsumerGroup(names.RetryGroup(f.cfg.Prefix)),
		kgo.ConsumeTopics(names.RetryMinute(f.cfg.Prefix), names.RetryHour(f.cfg.Prefix)),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(f.cfg.SessionTimeout),
		kgo.HeartbeatInterval(f.cfg.SessionTimeout/5),
		// A revocation waits for what flies, and commits. Who takes longer holds up what all others are to forward.
		kgo.RebalanceTimeout(settleFor+commitPatience+10*time.Second),
		// Nothing is fetched before the group is joined, nor after.
		kgo.OnPartitionsAssigned(func(ctx context.Context, cl *kgo.Client, m map[string][]int32) {
			cl.PauseFetchPartitions(m)
			f.assigned(ctx, m)
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, _ *kgo.Client, m map[string][]int32) { f.revoked(ctx, m) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { f.do(func() { f.forget(f.of(m)) }) }),
	)
}

// assigned takes new partitions over in the background: their offsets must be read first.
func (f *Forwarder) assigned(_ context.Context, m map[string][]int32) {
	var slots []*slot
	for _, hour := range []bool{false, true} {
		t := tier.Minute
		if hour {
			t = tier.Hour
		}
		for _, id := range m[f.topic(hour)] {
			if id < t.Partitions { // more partitions than slots are no error, and have nothing in them
				slots = append(slots, &slot{tier: t, hour: hour, topic: f.topic(hour), partition: id, progress: nothing, leaving: true})
			}
		}
	}
	f.do(func() {
		for _, s := range slots {
			f.slots[place{s.hour, s.partition}] = s
		}
	})
	f.background.Go(func() {
		for {
			err := f.takeOver(slots)
			if err == nil || f.writing.Err() != nil {
				return
			}
			f.cfg.Log.Warn("read the retry tiers' offsets failed; trying on", zap.Error(err))
			select {
			case <-time.After(lookAgain):
			case <-f.writing.Done():
			}
		}
	})
}

// takeOver reads what the group knows of the slots and lets them begin.
func (f *Forwarder) takeOver(slots []*slot) error {
	topics := []string{f.topic(false), f.topic(true)}
	committed, err := f.adm.FetchOffsetsForTopics(f.writing, names.RetryGroup(f.cfg.Prefix), topics...)
	if err != nil {
		return fmt.Errorf("fetch offsets: %w", err)
	}
	starts, err := f.adm.ListStartOffsets(f.writing, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fmt.Errorf("list start offsets: %w", err)
	}
	ends, err := f.adm.ListEndOffsets(f.writing, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("list end offsets: %w", err)
	}
	f.do(func() {
		now := time.Now()
		for _, s := range slots {
			if f.slots[place{s.hour, s.partition}] != s {
				continue // taken away meanwhile
			}
			start, _ := starts.Lookup(s.topic, s.partition)
			end, _ := ends.Lookup(s.topic, s.partition)
			s.committed = start.Offset
			if c, ok := committed.Lookup(s.topic, s.partition); ok && c.Err == nil && c.At >= start.Offset && c.At <= end.Offset {
				s.committed, s.progress = c.At, parseMark(c.Metadata)
			}
			s.start = s.tier.Latest(s.partition, now)
			if done := s.progress.due >= s.end() || s.committed >= end.Offset; done && !now.Before(s.closes()) {
				s.closed(max(s.progress.offset, s.committed))
				f.touch(s)
				s.start = s.tier.Next(s.partition, now)
			}
			s.leaving = false
		}
		f.reviewAt = time.Time{}
	})
	return nil
}

// A leaving is a set of slots that are being given back.
type leaving struct {
	slots   []*slot
	settled chan struct{} // closed when nothing of them flies
}

// revoked gives partitions back: nothing more of them is forwarded, what flies is waited for, and progress is committed.
func (f *Forwarder) revoked(ctx context.Context, m map[string][]int32) {
	l := &leaving{settled: make(chan struct{})}
	f.do(func() {
		l.slots = f.of(m)
		for _, s := range l.slots {
			s.leaving = true
			if s.opening != nil {
				s.opening.stop()
			}
		}
		f.leaving = l
		f.checkLeaving()
	})
	if len(l.slots) == 0 {
		return
	}
	limit := time.NewTimer(settleFor)
	defer limit.Stop()
	select {
	case <-l.settled:
	case <-limit.C:
	case <-ctx.Done():
	}
	if err := f.commit(ctx); err != nil {
		f.cfg.Log.Warn("commit of the retry tiers failed: what was forwarded last will be forwarded again", zap.Error(err))
	}
	f.do(func() { f.forget(l.slots) })
}

// checkLeaving tells revoked when nothing flies any more.
func (f *Forwarder) checkLeaving() {
	if f.leaving == nil || slices.ContainsFunc(f.leaving.slots, func(s *slot) bool { return s.opening != nil && len(s.opening.flying) > 0 }) {
		return
	}
	close(f.leaving.settled)
	f.leaving = nil
}

// of finds the slots of partitions.
func (f *Forwarder) of(m map[string][]int32) (found []*slot) {
	for _, hour := range []bool{false, true} {
		for _, id := range m[f.topic(hour)] {
			if s := f.slots[place{hour, id}]; s != nil {
				found = append(found, s)
			}
		}
	}
	return found
}

func (f *Forwarder) forget(slots []*slot) {
	for _, s := range slots {
		f.closeOpening(s)
		if p := (place{s.hour, s.partition}); f.slots[p] == s {
			delete(f.slots, p)
		}
	}
}

// commitInBackground commits unless another commit is under way: one that waits for a group that is joining must not hold
// the loop up.
func (f *Forwarder) commitInBackground() {
	f.commitAt = time.Time{}
	if !f.committing.CompareAndSwap(false, true) {
		f.commitAt = time.Now().Add(commitEvery)
		return
	}
	f.background.Go(func() {
		defer f.committing.Store(false)
		if err := f.commit(f.writing); err != nil && f.writing.Err() == nil {
			f.cfg.Log.Warn("commit of the retry tiers failed; trying on", zap.Error(err))
		}
	})
}

// commit tells the group the progress of the slots that have some. What fails stays dirty.
func (f *Forwarder) commit(ctx context.Context) error {
	f.oneCommit <- struct{}{}
	defer func() { <-f.oneCommit }()
	offsets := make(map[string]map[int32]kgo.EpochOffset)
	metadata := make(map[place]string)
	of := make(map[place]*slot)
	f.do(func() {
		for p, s := range f.slots {
			if !s.dirty {
				continue
			}
			if s.opening != nil {
				f.keep(s.opening)
			}
			if offsets[s.topic] == nil {
				offsets[s.topic] = make(map[int32]kgo.EpochOffset)
			}
			offsets[s.topic][s.partition] = kgo.EpochOffset{Epoch: -1, Offset: s.committed}
			metadata[p], of[p] = s.progress.String(), s
			s.dirty = false
		}
	})
	if len(of) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitPatience)
	defer cancel()
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				p := &req.Topics[i].Partitions[j]
				text := metadata[place{req.Topics[i].Topic == f.topic(true), p.Partition}]
				p.Metadata = &text
			}
		}
		return nil
	})
	failed := fmt.Errorf("no answer")
	f.group.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if failed = err; err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					failed = fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, err)
				}
			}
		}
	})
	if failed != nil {
		f.do(func() {
			for _, s := range of {
				f.touch(s)
			}
		})
		return fmt.Errorf("commit offsets of the retry tiers: %w", failed)
	}
	return nil
}
