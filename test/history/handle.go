package history

import (
	"context"
	"errors"
	"strconv"

	"github.com/tasktier/tasktier/task"
)

// Handle runs a handler, which it is part of, and writes when it started and how it ended; a panic is a failure. It leaves
// the run's name as the result, by which the check sees whose result was recorded in the end: f must not leave another one.
//
// An event that can't be written fails the attempt: the history would not be whole.
func (w *Writer) Handle(ctx context.Context, f func(ctx context.Context) error) error {
	t := task.From(ctx)
	e := Event{
		Kind: Started, Task: Of(t), Generation: t.Generation, Turn: t.Turn, Attempt: t.Attempt, Fence: task.Fence(ctx),
	}
	e.Slot, _ = task.Slot(ctx)
	if err := w.Write(e); err != nil {
		return err
	}
	if err := task.Result(ctx, []byte(runName(w.process, e.Fence))); err != nil {
		return err
	}
	returned := false
	defer func() {
		if !returned { // it panics, or ends its goroutine
			_ = w.end(ctx, e, errPanicked)
		}
	}()
	err := f(ctx)
	returned = true
	if wrote := w.end(ctx, e, err); wrote != nil {
		return wrote
	}
	return err
}

var errPanicked = errors.New("handler panicked")

// end writes how the run e has ended.
func (w *Writer) end(ctx context.Context, e Event, err error) error {
	e.Kind, e.Outcome = Ended, outcome(ctx, err)
	if cause := context.Cause(ctx); cause != nil {
		e.Cause = cause.Error()
	}
	return w.Write(e)
}

// runName is what a run leaves as its result.
func runName(process string, fence int64) string { return process + " " + strconv.FormatInt(fence, 10) }

func outcome(ctx context.Context, err error) Outcome {
	if err == nil {
		return Succeeded
	}
	switch task.Word(err).(type) { //nolint:errorlint // Word has unwrapped it
	case *task.PermanentError:
		return Permanent
	case *task.SnoozeError:
		return Snoozed
	}
	if ctx.Err() != nil {
		return GaveUp
	}
	return Failed
}
