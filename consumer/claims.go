package consumer

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/task"
	"go.uber.org/zap"
)

// What the engine needs of claims beside the order of effects, which is in attempt.go.

const (
	// minHeld and maxHeld bound the pause before a held turn is begun again: it doubles.
	minHeld = 50 * time.Millisecond
	maxHeld = time.Second
	// crowded is the pause before a turn that must run alone, and could not, tries again, meanwhile others run; it doubles
	// up to four times that, for every try keeps the others from starting for lonePatience.
	crowded = 30 * time.Second
	// keepWon is for how long a turn that may start keeps its claim without a slot.
	keepWon = time.Second
	// lookPatience bounds a look at claims that only spares work.
	lookPatience = 2 * time.Second
	// bookPatience bounds the wait for Redis when everything else has stopped.
	bookPatience = 5 * time.Second
)

// openBook prepares the claims of this node, if it is to have any.
func (c *Consumer) openBook() error {
	if c.cfg.Claims == nil {
		return nil
	}
	windows := make(map[string]claim.Window, len(c.cfg.Queues))
	for _, q := range c.cfg.Queues {
		windows[q.Name] = claim.Window{Minted: q.Window, Chosen: q.IDWindow, Longest: q.Horizon}
	}
	book, err := claim.New(claim.Config{
		Store: c.cfg.Claims, Members: c.cfg.Members, Windows: windows, Crashes: c.cfg.Crashes, Proceed: c.cfg.Proceed, Node: c.cfg.Node,
		Decided: c.decided, Interrupt: func(h *claim.Hold, cause error) { turnOf(h).interrupt(cause) }, Log: c.cfg.Log,
	})
	if err != nil {
		return err
	}
	c.book = book
	c.slots.beg = c.ask
	return nil
}

func turnOf(h *claim.Hold) *turn { return h.Of.(*turn) } //nolint:forcetypeassert // nobody else makes holds

// runBook runs the claims until the function that it returns is called, which waits for what was asked.
func (c *Consumer) runBook() (stop func()) {
	if c.book == nil {
		return func() {}
	}
	asking, done := context.WithCancel(context.Background())
	patience, giveUp := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = c.book.Run(asking, patience) }) // it never fails
	return func() {
		done()
		timer := time.AfterFunc(bookPatience, giveUp)
		running.Wait()
		timer.Stop()
		giveUp()
	}
}

// holdSlab is how many holds are allocated at once.
const holdSlab = 16

// ask begins turns that slots begged for.
func (c *Consumer) ask(_ *share, turns []*turn) {
	holds := make([]*claim.Hold, len(turns))
	var slab []claim.Hold
	for i, t := range turns {
		if t.hold == nil {
			if len(slab) == 0 {
				slab = make([]claim.Hold, min(holdSlab, len(turns)-i))
			}
			t.hold = &slab[0]
			slab = slab[1:]
			t.hold.Task, t.hold.Of = &t.task, t
		}
		t.run.reset()
		holds[i] = t.hold
	}
	c.book.Begin(holds...)
}

// await lets a turn that is held wait, and begins it again. It needs no slot to hear that it is held or done, so it does
// not queue for one. A turn whose copy is in the log leaves the waiting to that: else a task that takes long, whose copies
// are handed on in their turn, would fill the memory with them.
func (c *Consumer) await(t *turn) {
	q := t.part.queue
	c.gates.leave(t) // another one's run has it
	if t.replaced() {
		q.drop(t)
		return
	}
	pause := min(minHeld<<min(t.waited, 10), maxHeld)
	t.waited++
	pause = pause/2 + rand.N(pause/2)
	resume := func(t *turn) { c.ask(q.share, []*turn{t}) }
	if !t.part.putAside(t, pause, false, resume) {
		q.drop(t)
	}
}

// abandon gives back a turn at work that this node won't run now: its claim is released, and then it begins again if its
// partition is still here and the node goes on.
func (c *Consumer) abandon(t *turn) {
	if !t.won() {
		c.beginAgain(t)
		return
	}
	c.gates.leave(t) // Redis may take its time
	c.book.Release(t.hold, func(claim.Result) { c.beginAgain(t) })
}

// look says which turns need not run any more, by their claims; nil if these can't be read.
func (c *Consumer) look(turns []*turn) []bool {
	ids := make([]claim.Identity, len(turns))
	for i, t := range turns {
		ids[i] = claim.Identity{Queue: t.task.Queue, Source: t.task.Source, ID: t.task.ID}
	}
	ctx, cancel := context.WithTimeout(c.writing, lookPatience)
	defer cancel()
	found, err := c.cfg.Claims.Claims(ctx, ids)
	if err != nil {
		return nil // they come again
	}
	passed := make([]bool, len(turns))
	for i, t := range turns {
		passed[i] = found[i].Passed(t.task.Generation, t.task.Turn)
	}
	return passed
}

// beginAgain lets a turn at work, which has lost its claim or given it back, begin anew.
func (c *Consumer) beginAgain(t *turn) {
	q := t.part.queue
	c.rejoin(t)
	c.gates.leave(t)
	if !t.part.release() {
		q.drop(t)
		return
	}
	c.ready(q, t)
}

// giveBack releases claims of this queue that were won more than keepWon ago and have found no slot since: another node
// may have one, and while they are ours they share the blame when this process dies.
func (q *queue) giveBack() {
	c := q.consumer
	for _, t := range c.slots.stranded(q.share, c.uptime()-keepWon) {
		if !t.part.start() {
			q.drop(t)
			continue
		}
		gated := t.ticket != nil
		if gated {
			c.gates.shun(t)
		}
		c.book.Release(t.hold, func(claim.Result) {
			if gated {
				c.beginAgain(t)
			} else if !t.part.release() || !c.slots.back(q.share, t) {
				q.drop(t)
			}
		})
	}
}

// details reads why a task is dying whose letter was left to us. A task without details took its process down.
func (c *Consumer) details(t *turn) (*claim.Details, error) {
	for {
		ctx, cancel := context.WithTimeout(c.writing, 5*time.Second)
		d, err := c.cfg.Claims.Details(ctx, claim.Identity{Queue: t.task.Queue, Source: t.task.Source, ID: t.task.ID})
		cancel()
		switch {
		case err == nil:
			return d, nil
		case errors.Is(err, claim.ErrDetails):
			return &claim.Details{Reason: task.ReasonFailed, Error: err.Error()}, nil
		}
		c.cfg.Log.Warn("can't read why a task is dead; trying on", append(fields(&t.task), zap.Error(err))...)
		select {
		case <-time.After(time.Second):
		case <-c.writing.Done():
			return nil, c.writing.Err()
		}
	}
}

// background is the goroutines that wait for Redis where a turn's way must not: they write letters which were left to this
// node, and look up what is about to be put off.
type background struct {
	mu     sync.Mutex
	closed bool
	group  sync.WaitGroup
}

// start runs f in a goroutine, unless it is over.
func (b *background) start(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.group.Go(f)
	}
	return !b.closed
}

// end lets none start any more and waits for those that have.
func (b *background) end() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.group.Wait()
}

// A session is the context of the handlers that run under a lease.
type session struct {
	mu    sync.Mutex
	lease *lease.Lease
	ctx   context.Context
}

// handlers is the parent of a handler's context: it ends when the consumer gives up its handlers, and with the lease that
// the turn was begun under, or has the slot of its type.
func (c *Consumer) handlers(t *turn) context.Context {
	var l *lease.Lease
	switch {
	case t.hold != nil:
		l = t.hold.Lease()
	case t.ticket != nil && t.ticket.slot != nil:
		l = t.ticket.slot.Lease
	default:
		return c.handling
	}
	s := &c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease != l {
		ctx, cancel := context.WithCancelCause(c.handling)
		context.AfterFunc(l.Context(), func() { cancel(errSessionOver) })
		s.lease, s.ctx = l, ctx
	}
	return s.ctx
}

// errSessionOver is why the contexts of handlers end when the node has been silent for too long.
var errSessionOver = errors.New("this node's session is over: others may run its tasks now")
