package task

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
)

// A Run is what a node lends to the handler of an attempt. Handlers use it through [Fence], [Slot], [Progress]
// and [Result].
type Run interface {
	// Fence is the run's fencing token, or 0 if there is none.
	Fence() int64
	// Slot is the fencing token of the slot in which a task of a limited type runs, or 0 if it has none.
	Slot() int64
	// Progress tells how far the run is.
	Progress(fraction float64, note string)
	// Result keeps what the run has to say when it succeeds.
	Result(data []byte)
}

// MaxResult bounds a result, in bytes.
const MaxResult = 64 << 10

// MaxNote bounds the note of a progress, in bytes; longer ones are cut.
const MaxNote = 256

// ErrResultTooLarge is wrapped by [Result]'s error.
var ErrResultTooLarge = errors.New("result is too large")

func runOf(ctx context.Context) Run {
	if c, ok := ctx.Value(contextKey{}).(*handlerContext); ok {
		return c.run
	}
	return nil
}

// Fence returns the fencing token of the run whose handler runs under ctx: an integer below 2^53 that grows with every
// run of the task, whichever node it is on. A handler that hands it to the systems it writes to, which refuse smaller
// ones than they have seen, can't be overtaken by an earlier run of itself that was paused. Without Redis, and after Redis
// lost its keys, it grows as far as the nodes' clocks agree. It is 0 outside a node.
func Fence(ctx context.Context) int64 {
	if r := runOf(ctx); r != nil {
		return r.Fence()
	}
	return 0
}

// Slot returns the fencing token of the slot in which the run is whose handler runs under ctx, and false if its type has no
// limit. It is for systems that only so many tasks of a type may write to at once: with a limit of one, whoever has the lock
// later has a higher one, so that a system that refuses smaller ones than it has seen is never written to by a node that
// was paused past its lease. With a limit of more than one that holds for each slot, not for the type. It grows for as long
// as etcd keeps its data.
func Slot(ctx context.Context) (token int64, limited bool) {
	if r := runOf(ctx); r != nil {
		token = r.Slot()
	}
	return token, token > 0
}

// Progress tells those who look how far the run is: fraction is from 0 to 1, note a short text for people, of which the
// first 256 bytes are kept. It costs next to nothing and is written about once a second, the last one counts; without
// Redis it goes nowhere, and so it does outside a node.
func Progress(ctx context.Context, fraction float64, note string) {
	r := runOf(ctx)
	if r == nil {
		return
	}
	if math.IsNaN(fraction) {
		fraction = 0
	}
	if len(note) > MaxNote {
		note = strings.ToValidUTF8(note[:MaxNote], "") // no half of a character
	}
	r.Progress(min(max(fraction, 0), 1), note)
}

// Result keeps data, at most 64 KiB, as the result of the task if this run succeeds: `tasktier task get` shows it for as
// long as the finished task is remembered. The last call counts; data is copied. Without Redis it goes nowhere, and so it
// does outside a node. The error wraps [ErrResultTooLarge]; what was kept before stays.
func Result(ctx context.Context, data []byte) error {
	if len(data) > MaxResult {
		return fmt.Errorf("keep result of %d bytes: %w: at most %d; keep it elsewhere and say where", len(data), ErrResultTooLarge, MaxResult)
	}
	if r := runOf(ctx); r != nil {
		r.Result(append([]byte(nil), data...))
	}
	return nil
}
