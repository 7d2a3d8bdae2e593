package consumer

import (
	"sync"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
)

// A run is an attempt at work: what may reach its handler from outside, and what the handler leaves behind.
type run struct {
	mu     sync.Mutex
	ctx    *attemptContext // nil while no handler runs
	cause  error           // why it was interrupted
	began  time.Time
	slot   int64 // the token of its type's
	result []byte
}

// start notes the handler's context. An interruption that came before ends it at once.
func (r *run) start(ctx *attemptContext, began time.Time, slot int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx, r.began, r.slot, r.result = ctx, began, slot, nil
	if r.cause != nil {
		ctx.end(r.cause)
	}
}

// interrupt ends the attempt at work. A turn that waits to start again in place need not wait any longer.
func (t *turn) interrupt(cause error) {
	t.run.interrupt(cause)
	t.part.hurry(t)
}

// reset forgets an earlier attempt's interruption.
func (r *run) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cause = nil
}

// stop forgets the context: the handler has returned.
func (r *run) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx = nil
}

// interrupt ends the handler's context.
func (r *run) interrupt(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cause = cause
	if r.ctx != nil {
		r.ctx.end(cause)
	}
}

func (r *run) interrupted() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause
}

// A turn is what its handler sees of the node: a [task.Run].
var _ task.Run = (*turn)(nil)

// Fence is the claim's; without one it is the time of the start.
func (t *turn) Fence() int64 {
	if t.hold != nil {
		return t.hold.Fence()
	}
	return t.run.began.UnixMicro()
}

// Slot is that of the turn's type, if it is limited.
func (t *turn) Slot() int64 {
	t.run.mu.Lock()
	defer t.run.mu.Unlock()
	return t.run.slot
}

// Progress is written with the next round of them.
func (t *turn) Progress(fraction float64, note string) {
	if t.hold != nil {
		stamp, _ := record.ReadStamp(t.record) // a stamp that can't be read was refused by Decode
		t.part.queue.consumer.book.Progress(t.hold, claim.Details{
			Progress: fraction, Note: note, Error: stamp.Err, FirstError: stamp.FirstErr, // what is there already stays
		})
	}
}

// Result keeps data for the end.
func (t *turn) Result(data []byte) {
	if t.hold == nil {
		return
	}
	t.run.mu.Lock()
	defer t.run.mu.Unlock()
	t.run.result = data
}

// saying is what a success leaves beside its claim; nil if there is nothing.
func (t *turn) saying() *claim.Details {
	t.run.mu.Lock()
	defer t.run.mu.Unlock()
	if t.run.result == nil {
		return nil
	}
	return &claim.Details{Result: t.run.result}
}
