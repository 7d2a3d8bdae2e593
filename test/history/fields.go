package history

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/tasktier/tasktier/task"
)

// A field is how a field of an event stands in a line: as a text, or as a number.
type field struct {
	name     string
	text     func(*Event) string
	takeText func(*Event, string)
	number   func(*Event) int64
	take     func(*Event, int64)
}

func number[T ~int | ~int32 | ~int64](name string, of func(*Event) *T) field {
	return field{
		name:   name,
		number: func(e *Event) int64 { return int64(*of(e)) },
		take:   func(e *Event, v int64) { *of(e) = T(v) },
	}
}

func flag(name string, of func(*Event) *bool) field {
	return field{
		name: name,
		number: func(e *Event) int64 {
			if *of(e) {
				return 1
			}
			return 0
		},
		take: func(e *Event, v int64) { *of(e) = v != 0 },
	}
}

func text[T ~string](name string, of func(*Event) *T) field {
	return field{
		name:     name,
		text:     func(e *Event) string { return string(*of(e)) },
		takeText: func(e *Event, v string) { *of(e) = T(v) },
	}
}

// fields are all fields but Hash, Plan, Outcome and Forgets, which are written in their own way.
var fields = []field{
	text("queue", func(e *Event) *string { return &e.Task.Queue }),
	text("source", func(e *Event) *string { return &e.Task.Source }),
	text("id", func(e *Event) *string { return &e.Task.ID }),
	number("generation", func(e *Event) *int { return &e.Generation }),
	number("turn", func(e *Event) *int { return &e.Turn }),
	number("attempt", func(e *Event) *int { return &e.Attempt }),
	number("fence", func(e *Event) *int64 { return &e.Fence }),
	number("slot", func(e *Event) *int64 { return &e.Slot }),
	text("cause", func(e *Event) *string { return &e.Cause }),
	number("pid", func(e *Event) *int { return &e.PID }),
	text("target", func(e *Event) *string { return &e.Target }),
	text("name", func(e *Event) *string { return &e.Name }),
	text("server", func(e *Event) *string { return &e.Server }),
	number("step", func(e *Event) *int64 { return &e.Step }),
	text("state", func(e *Event) *task.State { return &e.State }),
	text("before", func(e *Event) *task.State { return &e.Before }),
	flag("asked", func(e *Event) *bool { return &e.Asked }),
	number("finished", func(e *Event) *Moment { return &e.Finished }),
	text("result", func(e *Event) *string { return &e.Result }),
	text("group", func(e *Event) *string { return &e.Group }),
	text("topic", func(e *Event) *string { return &e.Topic }),
	number("partition", func(e *Event) *int32 { return &e.Partition }),
	number("offset", func(e *Event) *int64 { return &e.Offset }),
	number("appended", func(e *Event) *Moment { return &e.Appended }),
	number("due", func(e *Event) *Moment { return &e.Due }),
	text("reason", func(e *Event) *task.Reason { return &e.Reason }),
	text("key", func(e *Event) *string { return &e.Key }),
	flag("tombstone", func(e *Event) *bool { return &e.Tombstone }),
}

var fieldOf = func() map[string]*field {
	m := make(map[string]*field, len(fields))
	for i := range fields {
		m[fields[i].name] = &fields[i]
	}
	return m
}()

// appendLine writes e as a line.
func appendLine(b []byte, e *Event) ([]byte, error) {
	b = strconv.AppendInt(b, int64(e.At), 10)
	b = append(b, ' ')
	b = append(b, e.Kind.String()...)
	for i := range fields {
		f := &fields[i]
		if f.text != nil {
			b = appendText(b, f.name, f.text(e))
		} else if v := f.number(e); v != 0 {
			b = strconv.AppendInt(appendName(b, f.name), v, 10)
		}
	}
	if e.Hash != 0 {
		b = strconv.AppendUint(appendName(b, "hash"), e.Hash, 16)
	}
	if e.Outcome != 0 {
		b = appendText(b, "outcome", e.Outcome.String())
	}
	if e.Forgets != 0 {
		b = appendText(b, "forgets", e.Forgets.String())
	}
	if e.Plan != nil {
		plan, err := json.Marshal(e.Plan)
		if err != nil {
			return nil, fmt.Errorf("write plan of %s: %w", e.Task, err)
		}
		b = appendText(b, "plan", string(plan))
	}
	return append(b, '\n'), nil
}

func appendName(b []byte, name string) []byte {
	b = append(b, ' ')
	b = append(b, name...)
	return append(b, '=')
}

func appendText(b []byte, name, v string) []byte {
	if v == "" {
		return b
	}
	b = appendName(b, name)
	if v[0] == '"' || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd }) {
		return strconv.AppendQuote(b, v)
	}
	return append(b, v...)
}
