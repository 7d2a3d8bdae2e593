package consumer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/retry"
	"go.uber.org/zap"
)

// A task is re-homed when a copy of its record, with the same generation and turn, is written elsewhere and its offset is
// completed here. With claims that is safe whatever becomes of it meanwhile: the copy begins, and finds it held or done.
// There are three occasions:
//
//   - A task that takes long holds the watermark of its partition back, over what was finished since. After MaxPin, or
//     when that is too much, it is re-homed, so that its partition can go on. It runs on.
//   - A node whose slots are all busy hands tasks that have waited for 5 s to one that has nothing to do.
//   - A node that stops hands on what is unfinished below what is finished, so that a commit covers all that.
//
// In ordered queues nothing is re-homed: a copy would lose its place. A partition that is held back too far is paused.

const (
	// mostMoved bounds what is re-homed of a partition in one round, a second.
	mostMoved = 100
	// waitedLong is how long a task waits for a busy node before another may have it.
	waitedLong = 5 * time.Second
	// idleRounds is for how many rounds a node must have had nothing to do before it offers its slots.
	idleRounds = 2
	// movePatience bounds the handing on at the stop.
	movePatience = 5 * time.Second
)

// balance re-homes what should be, once a second.
func (q *queue) balance(ctx context.Context, parts []*partition) {
	if q.consumer.book == nil {
		return
	}
	q.giveBack()
	if q.Ordered {
		return
	}
	for _, p := range parts {
		q.unpin(p)
	}
	if err := q.spread(ctx, parts); err != nil && ctx.Err() == nil && q.trouble.Allow() {
		q.log.Warn("can't balance with other nodes; trying on", zap.Error(err))
	}
}

// unpin re-homes turns that hold back the watermark of a partition for too long, or over too many finished records.
func (q *queue) unpin(p *partition) {
	c := q.consumer
	limit := c.uptime() - min(c.cfg.MaxPin, q.Window/6)
	var pins []*turn
	p.mu.Lock()
	wide := p.tracker.Span() > c.cfg.MaxSpan/2
	for _, t := range p.tracker.Unfinished() {
		if len(pins) == mostMoved || p.closed {
			break
		}
		if !t.moving && (wide || t.since < limit) {
			t.moving = true
			pins = append(pins, t)
		}
	}
	p.mu.Unlock()
	if len(pins) > 0 {
		q.log.Info("handing on tasks that hold back what is finished behind them", zap.Int32("partition", p.id), zap.Int("tasks", len(pins)))
	}
	for _, t := range pins {
		c.move(t, func(error) {})
	}
}

// move writes a copy of a turn, wherever that is, and completes its offset when the copy is acknowledged. A turn of which
// there can be no copy stays.
func (c *Consumer) move(t *turn, done func(error)) {
	w, ok := t.copy(0)
	if !ok {
		done(nil)
		return
	}
	c.waits.Write(c.writing, w, func(err error) {
		p := t.part
		p.mu.Lock()
		t.moving = errors.Is(err, retry.ErrTooLarge) // not tried again, for it would be in vain
		if err == nil && !t.settled && !t.moved && !p.forgotten {
			p.tracker.Finish(t.place)
			t.moved = true
		}
		p.mu.Unlock()
		if err == nil {
			p.queue.count.moved.Add(1)
		}
		done(err)
	})
}

// copy is the record by which a turn is re-homed: the same turn, due at once. home is one more than the partition that it
// goes to; 0: any. There is none of what can't be obeyed: it goes to the dead letters without a claim, so that a copy would
// not know of it.
//
// It is made from the record alone. The task that the turn has may be in its handler's hands by now, and shows the attempt
// of its claim.
func (t *turn) copy(home int32) (_ retry.Wait, ok bool) {
	q := t.part.queue
	as := &turn{record: t.record, part: t.part}
	q.decode(as)
	if _, err := q.unfit(as, as.ahead()); err != nil {
		return retry.Wait{}, false
	}
	stamp, _ := record.ReadStamp(t.record) // one that can't be read makes the record unfit
	return retry.Wait{
		Queue: q.Name, Record: t.record, Home: home, Err: stamp.Err, FirstErr: stamp.FirstErr,
		Generation: as.task.Generation, Turn: as.task.Turn, Attempt: as.task.Attempt,
	}, true
}

// replaced says whether the turn's copy is in the log in its stead.
func (t *turn) replaced() bool {
	t.part.mu.Lock()
	defer t.part.mu.Unlock()
	return t.moved
}

// spread offers this node's slots when it has had nothing to do for a while, or takes up such an offer when tasks have
// waited here for long.
func (q *queue) spread(ctx context.Context, parts []*partition) error {
	c := q.consumer
	ctx, cancel := context.WithTimeout(ctx, commitEvery)
	defer cancel()
	free, ready := c.slots.spare(q.share)
	if ready > 0 || free < max(1, q.share.limit/4) || !q.window.hasRoom() {
		q.idle = 0
	} else if q.idle++; q.idle >= idleRounds {
		return q.offer(ctx, parts, free)
	}
	if free > 0 || ready == 0 || c.slots.oldest(q.share) > c.uptime()-waitedLong {
		return nil
	}
	spare, ok, err := c.cfg.Claims.Accept(ctx, q.Name)
	if err != nil || !ok || len(spare.Partitions) == 0 {
		return err
	}
	turns := c.slots.take(q.share, spare.Slots, c.uptime()-waitedLong)
	q.log.Info("handing tasks to a node with free slots", zap.Int("tasks", len(turns)), zap.String("session", spare.Session))
	for i, t := range turns {
		if !t.part.start() {
			q.drop(t)
			continue
		}
		c.gates.leave(t)
		w, _ := t.copy(spare.Partitions[i%len(spare.Partitions)] + 1) // what is ready is fit
		c.waits.Write(c.writing, w, func(err error) {
			if err != nil {
				c.beginAgain(t)
				return
			}
			q.count.moved.Add(1)
			c.pass(t)
		})
	}
	return nil
}

// offer makes free slots known, and the partitions that are read here by which tasks come to them.
func (q *queue) offer(ctx context.Context, parts []*partition, free int) error {
	l := q.consumer.cfg.Members.Lease()
	if l == nil {
		return nil
	}
	spare := claim.Spare{Session: l.ID(), Slots: free}
	for _, p := range parts {
		p.mu.Lock()
		if !p.paused && !p.closed {
			spare.Partitions = append(spare.Partitions, p.id)
		}
		p.mu.Unlock()
	}
	if len(spare.Partitions) == 0 {
		return nil
	}
	return q.consumer.cfg.Claims.Offer(ctx, q.Name, spare)
}

// closeGaps hands on what is unfinished below what is finished, when this node has ended all it was going to.
func (q *queue) closeGaps(parts []*partition) {
	if q.Ordered {
		return
	}
	var gaps []*turn
	for _, p := range parts {
		p.mu.Lock()
		for _, t := range p.tracker.Unfinished() {
			if !t.moving {
				t.moving = true
				gaps = append(gaps, t)
			}
		}
		p.mu.Unlock()
	}
	if len(gaps) == 0 {
		return
	}
	var writing sync.WaitGroup
	for _, t := range gaps {
		writing.Add(1)
		q.consumer.move(t, func(error) { writing.Done() })
	}
	done := make(chan struct{})
	go func() { // ends with the last write, at the latest when the consumer ends them
		writing.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(movePatience):
		q.log.Warn("not all unfinished tasks could be handed on: what was finished behind them may be delivered again", zap.Int("tasks", len(gaps)))
	}
}
