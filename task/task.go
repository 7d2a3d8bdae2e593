package task

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// MaxIdentity bounds len(Source) + len(ID), in bytes.
const MaxIdentity = 1024

// A Task is one unit of work: what a service sends and what a handler receives. A Task that was built is not safe for
// concurrent change; a handler must treat the one it is given as read-only.
type Task struct {
	// ID and Source name the task within its queue (CloudEvents id and source). An empty Source becomes the
	// producer's default.
	ID, Source string
	// Type selects the handler.
	Type string
	// Queue is where the task goes or came from. Empty: the producer's queue.
	Queue string

	// Payload is opaque to the pipeline. In a handler it aliases the record's memory: copy what outlives the call.
	Payload []byte
	// ContentType is the payload's media type (CloudEvents datacontenttype). Empty: not stated.
	ContentType string
	// Time says when the event happened. Zero: not stated.
	Time time.Time

	// Key orders: in ordered queues, tasks of one key run one at a time, in the order of their offsets.
	Key string
	// NotBefore is the earliest start of an attempt, to the millisecond. Zero: at once.
	NotBefore time.Time
	// Expires is the latest start of an attempt; a task that meets it is dead. Zero: never.
	Expires time.Time
	// MaxAttempts is how often the task may be tried, 1 to the queue's limit. Zero: the type's or the queue's setting.
	MaxAttempts int
	// Timeout bounds one attempt. Zero: the type's or the queue's setting.
	Timeout time.Duration

	// TraceParent and TraceState carry W3C trace context. Empty: none.
	TraceParent, TraceState string
	// Headers are all other headers of the Kafka record, in their order: unknown CloudEvents attributes as "ce_name",
	// others under their own name.
	Headers []Header

	// Generation, Turn and Attempt say where in its life the task is; see the package comment. Tasks that a service
	// builds have Generation 0, Turn 1, Attempt 1.
	Generation, Turn, Attempt int

	err error // why New could not build it; reported by Validate
}

// A Header is one header of the Kafka record that tasktier does not act on.
type Header struct {
	Key   string
	Value string
}

// Header returns the value of the last header named key, or "".
func (t *Task) Header(key string) string {
	for i := len(t.Headers) - 1; i >= 0; i-- {
		if t.Headers[i].Key == key {
			return t.Headers[i].Value
		}
	}
	return ""
}

// New builds a task of type typ with a payload of raw bytes, which it keeps without copying. The ID is a new UUIDv7
// unless an option sets one. What is wrong with the arguments is reported when the task is sent, or by [Task.Validate].
func New(typ string, payload []byte, opts ...Option) *Task {
	t := &Task{Type: typ, Payload: payload, Turn: 1, Attempt: 1}
	for _, o := range opts {
		o(t)
	}
	if t.ID == "" {
		t.ID = newID()
	}
	return t
}

// ErrInvalid is wrapped by every error of [Task.Validate].
var ErrInvalid = errors.New("invalid task")

// Validate says what keeps the task from being sent: nil, or an error that wraps [ErrInvalid] and names the field. The
// size of the whole is checked by the producer, which knows the limit.
func (t *Task) Validate() error {
	switch {
	case t.err != nil:
		return fmt.Errorf("%w: %w", ErrInvalid, t.err)
	case t.Type == "":
		return fmt.Errorf("%w: type is empty", ErrInvalid)
	case t.ID == "" || t.Source == "":
		return fmt.Errorf("%w: id and source must not be empty", ErrInvalid)
	case len(t.ID)+len(t.Source) > MaxIdentity:
		return fmt.Errorf("%w: id and source are %d bytes together, at most %d", ErrInvalid, len(t.ID)+len(t.Source), MaxIdentity)
	case t.MaxAttempts < 0:
		return fmt.Errorf("%w: max attempts is %d", ErrInvalid, t.MaxAttempts)
	case t.Timeout < 0 || t.Timeout > 0 && t.Timeout < time.Millisecond:
		return fmt.Errorf("%w: timeout is %v, at least 1ms", ErrInvalid, t.Timeout)
	case !t.Expires.IsZero() && !t.NotBefore.IsZero() && t.Expires.Before(t.NotBefore):
		return fmt.Errorf("%w: expires (%s) before it may start (%s)", ErrInvalid, t.Expires.Format(time.RFC3339), t.NotBefore.Format(time.RFC3339))
	}
	for _, f := range []struct{ name, value string }{
		{"id", t.ID}, {"source", t.Source}, {"type", t.Type}, {"key", t.Key}, {"content type", t.ContentType},
	} {
		if !utf8.ValidString(f.value) {
			return fmt.Errorf("%w: %s is not valid UTF-8: %q", ErrInvalid, f.name, f.value)
		}
	}
	return nil
}
