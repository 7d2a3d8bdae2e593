package task

import (
	"fmt"
	"time"
)

// A PermanentError says that no further attempt can help. Build one with [Permanent].
type PermanentError struct{ Err error }

// Permanent marks err as final: the task goes to the dead-letter topic, whatever attempts are left. Permanent(nil) is
// nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &PermanentError{err}
}

func (e *PermanentError) Error() string { return e.Err.Error() }
func (e *PermanentError) Unwrap() error { return e.Err }

// A RetryAfterError is a failure that names the delay before the next attempt. Build one with [RetryAfter].
type RetryAfterError struct {
	Delay time.Duration
	Err   error
}

// RetryAfter marks err as a failure to be tried again after d instead of the policy's delay. It uses an attempt.
// RetryAfter(d, nil) is nil.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &RetryAfterError{d, err}
}

func (e *RetryAfterError) Error() string { return e.Err.Error() }
func (e *RetryAfterError) Unwrap() error { return e.Err }

// A SnoozeError asks for a later start without counting this attempt. Build one with [Snooze].
type SnoozeError struct{ Delay time.Duration }

// Snooze puts the task off by d: no failure, no attempt used.
func Snooze(d time.Duration) error { return &SnoozeError{d} }

func (e *SnoozeError) Error() string { return fmt.Sprintf("snoozed for %v", e.Delay) }

// Word finds the outermost of the errors by which a handler says what should happen, [*PermanentError],
// [*RetryAfterError] and [*SnoozeError], in err's tree, or nil. Of joined errors the first that has one counts.
func Word(err error) error {
	for err != nil {
		switch e := err.(type) { //nolint:errorlint // walks the tree itself: errors.As finds a type, not the outermost of several
		case *PermanentError, *RetryAfterError, *SnoozeError:
			return err
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			for _, joined := range e.Unwrap() {
				if w := Word(joined); w != nil {
					return w
				}
			}
			return nil
		default:
			return nil
		}
	}
	return nil
}
