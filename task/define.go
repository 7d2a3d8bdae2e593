package task

import (
	"encoding/json"
	"fmt"
)

// A Type is a type of task with the Go type of its payload: the definition that the publishing and the executing side
// share. Payloads travel as JSON (application/json); a P of []byte travels as it is.
type Type[P any] struct {
	name     string
	defaults []Option
}

// Define names a type of task and its defaults. It panics on an empty name: definitions are package variables, and a
// wrong one should stop the program at once.
func Define[P any](name string, defaults ...Option) Type[P] {
	if name == "" {
		panic("task: Define with an empty name")
	}
	return Type[P]{name: name, defaults: defaults}
}

// Name is the type's name on the wire.
func (d Type[P]) Name() string { return d.name }

// New builds a task of this type. A payload that can't be encoded is reported when the task is sent, or by
// [Task.Validate].
func (d Type[P]) New(payload P, opts ...Option) *Task {
	t := &Task{Type: d.name, Turn: 1, Attempt: 1}
	switch p := any(payload).(type) {
	case []byte:
		t.Payload = p
	default:
		t.ContentType = "application/json"
		data, err := json.Marshal(payload)
		if err != nil {
			t.fail(fmt.Errorf("encode payload of %s: %w", d.name, err))
		}
		t.Payload = data
	}
	for _, o := range d.defaults {
		o(t)
	}
	for _, o := range opts {
		o(t)
	}
	if t.ID == "" {
		t.ID = newID()
	}
	return t
}

// Decode reads t's payload. An empty payload is P's zero value. With a P of []byte the result aliases t.Payload.
func (d Type[P]) Decode(t *Task) (P, error) {
	var p P
	if raw, ok := any(&p).(*[]byte); ok {
		*raw = t.Payload
		return p, nil
	}
	if len(t.Payload) == 0 {
		return p, nil
	}
	if err := json.Unmarshal(t.Payload, &p); err != nil {
		return p, fmt.Errorf("decode payload of %s as %T: %w", d.name, p, err)
	}
	return p, nil
}
