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
	// commitEvery is how often watermarks that moved are committed.
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
		if err := q.commit(ctx, parts); err != nil && ctx.Err() == nil && q.trouble.Allow() {
			q.log.Warn("commit failed; trying on", zap.Error(err))
		}
	}
}

// commit tells the group the watermarks of those parts that moved and are still assigned. Offsets are committed
// nowhere else.
func (q *queue) commit(ctx context.Context, parts []*partition) error {
	q.commitMu.Lock()
	defer q.commitMu.Unlock()
	due := make(map[int32]kgo.EpochOffset)
	of := make(map[int32]*partition)
	for _, p := range parts {
		q.mu.Lock()
		ours := q.partitions[p.id] == p
		q.mu.Unlock()
		if offset, ok := p.due(); ok && ours {
			due[p.id] = kgo.EpochOffset{Epoch: -1, Offset: offset}
			of[p.id] = p
		}
	}
	if len(due) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitPatience)
	defer cancel()
	var failed error
	q.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{names.Pending(q.Name): due},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				failed = err
				return
			}
			for _, t := range resp.Topics {
				for _, rp := range t.Partitions {
					if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
						failed = fmt.Errorf("partition %d: %w", rp.Partition, err)
					} else if p := of[rp.Partition]; p != nil {
						p.setCommitted(due[rp.Partition].Offset)
					}
				}
			}
		})
	if failed != nil {
		return fmt.Errorf("commit offsets of %s: %w", names.Pending(q.Name), failed)
	}
	return nil
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
