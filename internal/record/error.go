package record

import (
	"fmt"

	"github.com/tasktier/tasktier/task"
)

// An Error says why a record is no task that can be obeyed.
type Error struct {
	// Reason is [task.ReasonUndecodable] where the record is no event of a known version, and [task.ReasonInvalid]
	// where it is one with an attribute that can't be obeyed.
	Reason task.Reason
	// Attribute is the CloudEvents attribute or the JSON member at fault; empty where the record as a whole is.
	Attribute string
	Err       error
}

func (e *Error) Error() string {
	if e.Attribute == "" {
		return fmt.Sprintf("%s record: %v", e.Reason, e.Err)
	}
	return fmt.Sprintf("%s record: %s %v", e.Reason, e.Attribute, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

func undecodable(attribute, format string, args ...any) *Error {
	return &Error{Reason: task.ReasonUndecodable, Attribute: attribute, Err: fmt.Errorf(format, args...)}
}

func invalid(attribute, format string, args ...any) *Error {
	return &Error{Reason: task.ReasonInvalid, Attribute: attribute, Err: fmt.Errorf(format, args...)}
}
