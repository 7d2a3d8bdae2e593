// Package outcome names how an attempt ended, in the words that logs, metrics and traces share.
package outcome

import (
	"context"
	"errors"

	"github.com/tasktier/tasktier/task"
)

// An Outcome is how one attempt ended.
type Outcome string

// The outcomes.
const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"    // may be tried again; a timeout and a panic are failures too
	Permanent Outcome = "permanent" // not to be tried again
	Snoozed   Outcome = "snoozed"
	Canceled  Outcome = "canceled" // failed after its context was canceled: by a drain, a cancel, a lost session
)

// Bad says whether o is something that an operator wants to hear of.
func (o Outcome) Bad() bool { return o != Succeeded && o != Snoozed }

// ErrPanic stands for the error of a handler that panicked or ended its goroutine: its middleware knows no more, since
// the panic passes through it untouched to the engine, which reports it.
var ErrPanic = errors.New("handler did not return: it panicked or ended its goroutine")

// Of says what err means, returned by a handler that ran under ctx. Of the words of package task, the outermost counts.
func Of(ctx context.Context, err error) Outcome {
	if err == nil {
		return Succeeded
	}
	switch task.Word(err).(type) { //nolint:errorlint // Word has unwrapped it
	case *task.PermanentError:
		return Permanent
	case *task.SnoozeError:
		return Snoozed
	case *task.RetryAfterError:
		return Failed
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return Canceled
	}
	return Failed
}
