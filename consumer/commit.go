package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

const (
	// commitEvery is how often progress is committed.
	commitEvery = time.Second
	// commitPatience bounds one commit: a group in the middle of joining makes it wait.
	commitPatience = 10 * time.Second
	// lastPatience bounds the tries of a commit after which there is no other, and lastPause lies between them.
	lastPatience = 3 * time.Second
	lastPause    = 200 * time.Millisecond
)

// commits commits now and then until ctx ends. What fails stays due.
func (q *queue) commits(ctx context.Context) {
	tick := time.NewTicker(commitEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		parts := q.assignment()
		q.resume(parts)
		q.consumer.gates.tend(q)
		q.balance(ctx, parts)
		if err := q.commit(ctx, parts); err != nil && ctx.Err() == nil && q.trouble.Allow() {
			q.log.Warn("commit failed; trying on", zap.Error(err))
		}
	}
}

// commit tells the group the progress of those parts that made some and are still assigned. Offsets are committed nowhere
// else.
func (q *queue) commit(ctx context.Context, parts []*partition) error {
	q.committing <- struct{}{}
	defer func() { <-q.committing }()
	due := q.due(parts)
	if len(due) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitPatience)
	defer cancel()
	refused, err := q.tell(ctx, due)
	if len(refused) > 0 {
		q.withoutRanges(refused)
		var again error
		_, again = q.tell(ctx, refused)
		err = errors.Join(err, again)
	}
	if err != nil {
		return fmt.Errorf("commit offsets of %s: %w", names.Pending(q.Name), err)
	}
	return nil
}

// A duty is progress that the group is to be told.
type duty struct {
	part *partition
	progress
}

func (q *queue) due(parts []*partition) map[int32]duty {
	due := make(map[int32]duty)
	limit := min(q.rangesLimit, commitBytes/max(len(parts), 1))
	for _, p := range parts {
		q.mu.Lock()
		ours := q.partitions[p.id] == p
		q.mu.Unlock()
		if now, ok := p.due(limit); ok && ours {
			due[p.id] = duty{p, now}
		}
	}
	return due
}

// tell commits once. It returns those whose ranges were too long for the broker, which is no failure, apart.
func (q *queue) tell(ctx context.Context, due map[int32]duty) (refused map[int32]duty, failed error) {
	offsets, ranges := make(map[int32]kgo.EpochOffset, len(due)), false
	for id, d := range due {
		offsets[id] = kgo.EpochOffset{Epoch: -1, Offset: d.offset}
		ranges = ranges || d.ranges != ""
	}
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				rp := &req.Topics[i].Partitions[j]
				text := due[rp.Partition].ranges
				rp.Metadata = &text
			}
		}
		return nil
	})
	refused = make(map[int32]duty)
	q.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{names.Pending(q.Name): offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				failed = err
				return
			}
			for _, t := range resp.Topics {
				for _, rp := range t.Partitions {
					d, ok := due[rp.Partition]
					switch err := kerr.ErrorForCode(rp.ErrorCode); {
					case !ok: // not asked for
					case err == nil:
						d.part.tell(d.progress)
					case ranges && (errors.Is(err, kerr.OffsetMetadataTooLarge) || errors.Is(err, kerr.InvalidCommitOffsetSize)):
						refused[rp.Partition] = d
					default:
						failed = fmt.Errorf("partition %d: %w", rp.Partition, err)
					}
				}
			}
		})
	return refused, failed
}

// withoutRanges takes the ranges from what was refused for them, and remembers to write fewer: half of the shortest that
// was refused, in case the broker takes that, until it is not worth it.
func (q *queue) withoutRanges(refused map[int32]duty) {
	for id, d := range refused {
		if d.ranges != "" {
			q.rangesLimit = min(q.rangesLimit, len(d.ranges)/2)
		}
		d.ranges = ""
		refused[id] = d
	}
	if q.rangesLimit < minRanges {
		q.rangesLimit = 0
	}
	q.log.Warn("the broker refuses the metadata of commits for its size: more tasks than need be run again after a crash; see offset.metadata.max.bytes of the brokers",
		zap.Int("next_limit", q.rangesLimit))
}

// commitLast commits what no later commit will: what it does not get through is run again elsewhere. So what may pass, a
// rebalance or a coordinator that moves, is waited for a little; to be no member any more does not pass.
func (q *queue) commitLast(ctx context.Context, parts []*partition) error {
	ctx, cancel := context.WithTimeout(ctx, lastPatience)
	defer cancel()
	for {
		err := q.commit(ctx, parts)
		if err == nil || errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.FencedInstanceID) {
			return err
		}
		select {
		case <-time.After(lastPause):
		case <-ctx.Done():
			return err
		}
	}
}
