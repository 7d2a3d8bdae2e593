package deadletter

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// An Export is a letter as a line of text.
type Export struct {
	// Line is a JSON object on a line, without the line's end.
	Line []byte
	// Task says that the line is the task, as a structured CloudEvent that `tasktier task send --file` sends: the payload
	// is the same, byte for byte, and the generation is the next one, so that the task is no repetition of the dead one.
	// Otherwise it is no task that could run, and the line is the record as it is, which is not sent: its members are
	// letter, queue, reason, error, origin and died, headers as pairs of a name and a value in base64, and key_base64 and
	// value_base64.
	Task bool
	// LeftOut counts the Kafka headers of a task that are no attributes, or no text, and so can't stand in an event.
	LeftOut int
}

// Export returns the letter as a line of text.
func (l *Letter) Export() Export {
	if l.Bad == nil {
		for _, raw := range []bool{false, true} { // as JSON where that keeps every byte, else as base64
			if line, leftOut := l.event(raw); l.same(line) {
				return Export{line, true, leftOut}
			}
		}
	}
	return Export{Line: l.raw()}
}

// event is the task as a structured CloudEvent.
func (l *Letter) event(base64 bool) (line []byte, leftOut int) {
	var o object
	t := &l.Task
	o.text("specversion", "1.0")
	o.text("id", t.ID)
	o.text("source", t.Source)
	o.text("type", t.Type)
	o.optional("datacontenttype", t.ContentType)
	o.time("time", t.Time)
	o.optional("partitionkey", t.Key)
	o.optional("traceparent", t.TraceParent)
	o.optional("tracestate", t.TraceState)
	o.time("expirytime", t.Expires)
	o.time("notbefore", t.NotBefore)
	o.number("maxattempts", int64(t.MaxAttempts))
	o.number("timeoutms", t.Timeout.Milliseconds())
	o.number("ttgeneration", int64(t.Generation)+1)
	for i, h := range t.Headers {
		name, attribute := strings.CutPrefix(h.Key, "ce_")
		if slices.ContainsFunc(t.Headers[i+1:], func(later task.Header) bool { return later.Key == h.Key }) {
			continue // the last one counts
		}
		if !attribute || name == "data" || name == "data_base64" || name == "datacontentencoding" || !utf8.ValidString(name+h.Value) {
			leftOut++
			continue
		}
		o.text(name, h.Value)
	}
	switch {
	case len(t.Payload) == 0:
	case base64:
		o.value("data_base64", t.Payload)
	default:
		o.member("data", t.Payload)
	}
	return o.end(), leftOut
}

// same says whether the line, sent, is the same task in its next generation, and a line at all.
func (l *Letter) same(line []byte) bool {
	var t task.Task
	if bytes.ContainsAny(line, "\n\r") || record.Decode(&kgo.Record{Value: line, Headers: structured}, &t) != nil {
		return false
	}
	was := &l.Task
	return t.ID == was.ID && t.Source == was.Source && t.Type == was.Type && t.Key == was.Key && t.ContentType == was.ContentType &&
		t.NotBefore.Equal(was.NotBefore) && t.Expires.Equal(was.Expires) && t.MaxAttempts == was.MaxAttempts && t.Timeout == was.Timeout &&
		t.Generation == was.Generation+1 && bytes.Equal(t.Payload, was.Payload)
}

var structured = []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}}

// raw is the record as it is.
func (l *Letter) raw() []byte {
	var o object
	o.text("letter", l.ID())
	o.text("queue", l.Queue)
	o.text("reason", string(l.Reason))
	o.text("error", l.Err)
	o.text("origin", l.Origin)
	o.time("died", l.Died)
	headers := [][2]any{}
	for _, h := range l.Headers() {
		headers = append(headers, [2]any{h.Key, h.Value})
	}
	o.value("headers", headers)
	if l.originalKey != nil {
		o.value("key_base64", l.originalKey)
	}
	o.value("value_base64", l.Record.Value)
	return o.end()
}

// Headers are the record headers of the original, in their order, without what tasktier has added.
func (l *Letter) Headers() []kgo.RecordHeader { return record.Unstamped(l.Record) }

// An object is a JSON object that is being written.
type object struct{ bytes.Buffer }

// member writes a member whose value is JSON.
func (o *object) member(name string, value []byte) {
	if o.Len() == 0 {
		o.WriteByte('{')
	} else {
		o.WriteByte(',')
	}
	o.encode(name)
	o.WriteByte(':')
	o.Write(value)
}

func (o *object) encode(v any) {
	e := json.NewEncoder(&o.Buffer)
	e.SetEscapeHTML(false)
	e.Encode(v)             //nolint:errcheck,errchkjson // texts, numbers and bytes can be encoded, and a buffer written
	o.Truncate(o.Len() - 1) // without the line's end
}

func (o *object) value(name string, v any) {
	o.member(name, nil)
	o.encode(v)
}

func (o *object) text(name, value string) { o.value(name, value) }

func (o *object) optional(name, value string) {
	if value != "" {
		o.text(name, value)
	}
}

func (o *object) number(name string, n int64) {
	if n != 0 {
		o.value(name, n)
	}
}

func (o *object) time(name string, at time.Time) {
	if !at.IsZero() {
		o.text(name, at.UTC().Format(time.RFC3339Nano))
	}
}

func (o *object) end() []byte {
	o.WriteByte('}')
	return o.Bytes()
}
