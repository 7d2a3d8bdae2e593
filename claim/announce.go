package claim

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/tasktier/tasktier/internal/nap"
	"github.com/tasktier/tasktier/task"
)

const (
	// mostAnnounced is how many announcements may wait.
	mostAnnounced = 10_000
	// hintPatience bounds a call that writes what nothing depends on, and all of them together once the end is near.
	hintPatience = time.Second
)

// An Announcer writes claims for tasks that were sent, so that a task is known as pending, or scheduled, before a node has
// it. Nothing depends on it: what it can't write at once, because too much waits or Redis is away, it drops.
//
// Connect Sent to the Acknowledged hook of package producer.
type Announcer struct {
	store   *Store
	windows map[string]Window
	box     *mailbox[announcement]
	written atomic.Uint64
	failed  atomic.Uint64
}

type announcement struct {
	id    Identity
	claim Claim
}

// NewAnnouncer returns an announcer; it works while Run does. windows are those of the nodes, by queue: a queue that is not
// there has the defaults.
func NewAnnouncer(store *Store, windows map[string]Window) *Announcer {
	return &Announcer{store: store, windows: windows, box: newMailbox[announcement](mostAnnounced)}
}

// Sent takes note of a task that Kafka has acknowledged, with its source and queue filled in. It does not block and keeps
// nothing of t. Any goroutine may call it.
func (a *Announcer) Sent(t *task.Task) {
	now := time.Now()
	c := Claim{State: Pending, Turn: 1, Attempt: 1, At: now.UnixMilli(), Type: t.Type}
	if t.NotBefore.After(now) {
		c.Flags, c.At = Delayed, t.NotBefore.Add(time.Millisecond-1).UnixMilli() // never early
	}
	a.box.put(announcement{Identity{t.Queue, t.Source, t.ID}, c})
}

// Written counts the tasks whose announcement Redis has, or did not need: it knew them already.
func (a *Announcer) Written() uint64 { return a.written.Load() }

// Dropped counts the tasks that were not announced.
func (a *Announcer) Dropped() uint64 { return a.box.refused.Load() + a.failed.Load() }

// Run announces until ctx ends, and then for up to a second what waits still. It returns nil.
func (a *Announcer) Run(ctx context.Context) error {
	calls, cancel := outlast(ctx)
	defer cancel()
	var batch []announcement
	pause := minPause
	for {
		batch = a.box.take(ctx, batch, maxBatch)
		if len(batch) == 0 {
			return nil
		}
		if err := a.announce(calls, batch); err != nil {
			a.failed.Add(uint64(len(batch)))
			nap.For(ctx, pause)
			pause = min(2*pause, maxPause)
			continue
		}
		a.written.Add(uint64(len(batch)))
		pause = minPause
	}
}

// outlast returns a context that ends a little later than ctx.
func outlast(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(hintPatience, cancel) })
	return longer, func() { stop(); cancel() }
}

func (a *Announcer) announce(ctx context.Context, batch []announcement) error {
	ctx, cancel := context.WithTimeout(ctx, hintPatience)
	defer cancel()
	now := time.Now()
	ops := make([]*op, len(batch))
	for i, n := range batch {
		key := n.id.Key()
		ops[i] = &op{
			key: key, name: key.text(a.store.prefix), write: n.claim.String(),
			keep: a.windows[n.id.Queue].withDefaults().keep(n.claim, n.id.ID, now),
		}
	}
	if err := a.store.swap(ctx, ops); err != nil {
		return err
	}
	var scheduled []mark
	for i, o := range ops {
		if n := batch[i]; o.applied && n.claim.Flags&Delayed != 0 {
			scheduled = append(scheduled, mark{n.id, task.Scheduled, n.claim.At})
		}
	}
	return a.store.mark(ctx, scheduled)
}
