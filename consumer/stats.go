package consumer

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/task"
	"go.uber.org/zap"
)

// counters count what happened in a queue since the start of the process.
type counters struct {
	polled, started, succeeded, dead, canceled, retried, snoozed, dropped, repeated, lost, moved atomic.Uint64
}

func (n *counters) settle(s Settled) {
	switch s.State {
	case task.Succeeded:
		n.succeeded.Add(1)
	case task.Dead:
		n.dead.Add(1)
	case task.Canceled:
		n.canceled.Add(1)
	default: // it comes back, which was counted when that was decided
	}
}

// Stats is what a consumer has and did of one queue.
type Stats struct {
	Queue      string
	Partitions int // assigned now

	InflightRecords int   // held in memory now
	InflightBytes   int64 // their size
	Ready           int   // waiting for a slot now
	Standing        int   // waiting now because their types are paused or at their limits
	Running         int   // in a slot now

	// Counts since the start of the process. Dropped are deliveries that this node ended without an outcome, because
	// their partition moved or the node stopped: they are delivered again.
	Polled, Started, Succeeded, Dead, Canceled, Retried, Snoozed, Dropped uint64
	// Repeated are deliveries of tasks that were done already, or had come further. Lost are outcomes that were discarded
	// because another node had the task by then.
	Repeated, Lost uint64
	// Moved are tasks that were handed on by a copy, because they held up others, another node had nothing to do, or
	// their types were paused or at their limits.
	Moved uint64
}

// Stats returns a snapshot for every queue, in the order of the configuration.
func (c *Consumer) Stats() []Stats {
	stats := make([]Stats, 0, len(c.queues))
	for _, q := range c.queues {
		s := Stats{
			Queue:      q.Name,
			Partitions: len(q.assignment()),
			Polled:     q.count.polled.Load(),
			Started:    q.count.started.Load(),
			Succeeded:  q.count.succeeded.Load(),
			Dead:       q.count.dead.Load(),
			Canceled:   q.count.canceled.Load(),
			Repeated:   q.count.repeated.Load(),
			Lost:       q.count.lost.Load(),
			Moved:      q.count.moved.Load(),
			Retried:    q.count.retried.Load(),
			Snoozed:    q.count.snoozed.Load(),
			Dropped:    q.count.dropped.Load(),
		}
		s.InflightRecords, s.InflightBytes = q.window.load()
		s.Ready, s.Running = c.slots.load(q.share)
		s.Standing = c.gates.load(q)
		stats = append(stats, s)
	}
	return stats
}

// Claims returns what the verdicts of claims were; false without claims.
func (c *Consumer) Claims() (claim.Stats, bool) {
	if c.book == nil {
		return claim.Stats{}, false
	}
	return c.book.Stats(), true
}

// pollSilence is how long a poll loop may give no sign of life although it has room, beside the drain time, for which the
// client polls nothing while partitions are being given back.
const pollSilence = time.Minute

// Healthy says whether every queue's poll loop makes progress. A loop that waits because the window is full is healthy:
// its handlers are slow, not the node.
func (c *Consumer) Healthy() error {
	for _, q := range c.queues {
		silent := time.Since(time.Unix(0, q.lastPoll.Load()))
		if silent > pollSilence+c.cfg.Drain && q.window.hasRoom() {
			return fmt.Errorf("queue %q has not been polled for %v", q.Name, silent.Round(time.Second))
		}
	}
	return nil
}

// fields are the log fields that name a task, the same everywhere.
func fields(t *task.Task) []zap.Field {
	return []zap.Field{
		zap.String("task_id", t.ID), zap.String("task_source", t.Source), zap.String("task_type", t.Type),
		zap.String("queue", t.Queue), zap.Int("attempt", t.Attempt), zap.Int("generation", t.Generation),
	}
}
