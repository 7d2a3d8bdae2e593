package consumer

import (
	"context"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"go.uber.org/zap"
)

// The callbacks of the group. The client calls one at a time, and none while polled records are being admitted.

// assigned makes room for new partitions. The client begins to fetch them when it returns.
func (q *queue) assigned(m map[string][]int32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range m[names.Pending(q.Name)] {
		q.partitions[id] = newPartition(q, id)
	}
	if n := len(m[names.Pending(q.Name)]); n > 0 {
		q.log.Info("partitions assigned", zap.Int("new", n), zap.Int("total", len(q.partitions)))
		// A partition keeps its pause in the client after it was taken away: without this it would come back mute.
		q.client.ResumeFetchPartitions(m)
	}
}

// revoked gives partitions back: it starts nothing more of them, waits for what is at work up to the drain time, commits
// and forgets. Tasks that need longer run on; their completions are ignored.
func (q *queue) revoked(ctx context.Context, m map[string][]int32) {
	parts := q.close(m[names.Pending(q.Name)])
	if len(parts) == 0 {
		return
	}
	left := q.await(ctx, parts, q.patience())
	if err := q.commitLast(ctx, parts); err != nil {
		q.log.Warn("commit at revocation failed: finished tasks of these partitions will be delivered again", zap.Error(err))
	}
	q.forget(parts)
	q.log.Info("partitions revoked", zap.Int("count", len(parts)), zap.Int("still_at_work", left))
}

// claimedPatience is how long a revocation waits for tasks that claims protect: so that few of them have to be held where
// their partition goes.
const claimedPatience = 3 * time.Second

// patience is how long a revocation waits for what is at work. Meanwhile nothing of the queue is polled here.
func (q *queue) patience() time.Duration {
	if q.consumer.book != nil {
		return min(q.consumer.cfg.Drain, claimedPatience)
	}
	return q.consumer.cfg.Drain
}

// end closes all partitions at the stop, when no handler runs any more, and hands on what would keep finished work from
// being committed.
func (q *queue) end(parts []*partition) {
	ids := make([]int32, 0, len(parts))
	for _, p := range parts {
		ids = append(ids, p.id)
	}
	q.close(ids)
	q.await(context.Background(), parts, q.consumer.cfg.Drain)
	q.closeGaps(parts)
}

// lost forgets partitions that another member may own already: nothing is committed.
func (q *queue) lost(m map[string][]int32) {
	parts := q.close(m[names.Pending(q.Name)])
	q.forget(parts)
	if len(parts) > 0 {
		q.log.Warn("partitions lost", zap.Int("count", len(parts)))
	}
}

// close stops starting turns of the partitions and drops those that wait.
func (q *queue) close(ids []int32) []*partition {
	q.mu.Lock()
	var parts []*partition
	for _, id := range ids {
		if p := q.partitions[id]; p != nil {
			parts = append(parts, p)
		}
	}
	q.mu.Unlock()
	for _, p := range parts {
		q.drop(p.close()...)
		q.drop(q.consumer.slots.drop(q.share, p)...)
		q.drop(q.consumer.gates.drop(q, p)...)
	}
	return parts
}

// await waits until nothing of the closed partitions is at work, at most d, and not once handlers were told to give up.
// It returns how many turns are still at work.
func (q *queue) await(ctx context.Context, parts []*partition, d time.Duration) (left int) {
	limit := time.NewTimer(d)
	defer limit.Stop()
	aborted := q.consumer.aborted()
	patient := true
	for i := 0; i < len(parts) && patient; {
		select {
		case <-parts[i].idle:
			i++
		case <-aborted:
			// Give handlers that obey their context, and letters under way, the moment they need.
			limit.Reset(abortGrace)
			aborted = nil
		case <-limit.C:
			patient = false
		case <-ctx.Done():
			patient = false
		}
	}
	for _, p := range parts {
		p.mu.Lock()
		left += p.atWork
		p.mu.Unlock()
	}
	return left
}

// forget waits for a commit that is under way: one that found the partition here must not be sent after it is gone, when
// the group may have given this member a new generation.
func (q *queue) forget(parts []*partition) {
	q.committing <- struct{}{}
	defer func() { <-q.committing }()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range parts {
		if q.partitions[p.id] == p {
			delete(q.partitions, p.id)
		}
		p.forget()
	}
}
