package record

import (
	"strconv"
	"time"

	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Encode writes t, which [task.Task.Validate] has passed, as a record in binary mode. The payload is not copied: it
// must stay as it is until the record was sent. The record's key is t.Key, nil if there is none; the key is also
// written as an attribute, because a record changes its key when it becomes a dead letter.
//
// Of t.Headers, those that carry what Task has a field for are left out. Generation 0, turn 1 and attempt 1 go without
// saying, as does an empty field.
func Encode(t *task.Task, topic string) *kgo.Record {
	w := newWriter(t)
	w.text("ce_specversion", "1.0")
	w.text("ce_id", t.ID)
	w.text("ce_source", t.Source)
	w.text("ce_type", t.Type)
	if t.ContentType != "" {
		// A payload that is itself an event must not turn the record into a structured one.
		name := contentTypeHeader
		if len(t.ContentType) >= len(cloudEvents) && foldEqual([]byte(t.ContentType[:len(cloudEvents)]), cloudEvents) {
			name = "ce_datacontenttype"
		}
		w.text(name, t.ContentType)
	}
	w.time("ce_time", t.Time)
	var key []byte
	if t.Key != "" {
		key = w.text("ce_partitionkey", t.Key)
	}
	if t.TraceParent != "" {
		w.text("ce_traceparent", t.TraceParent)
		if t.TraceState != "" {
			w.text("ce_tracestate", t.TraceState)
		}
	}
	w.time("ce_expirytime", t.Expires)
	w.time("ce_notbefore", t.NotBefore)
	w.number("ce_maxattempts", int64(t.MaxAttempts), 0)
	w.number("ce_timeoutms", t.Timeout.Milliseconds(), 0)
	w.number("ce_ttgeneration", int64(t.Generation), 0)
	w.number("ce_ttturn", int64(max(t.Turn, 1)), 1)
	w.number("ce_ttattempt", int64(max(t.Attempt, 1)), 1)
	for i := range t.Headers {
		if h := &t.Headers[i]; passes(h.Key) {
			w.text(h.Key, h.Value)
		}
	}
	return &kgo.Record{Topic: topic, Key: key, Value: t.Payload, Headers: w.headers}
}

// A writer collects headers whose values share one allocation.
type writer struct {
	headers []kgo.RecordHeader
	buf     []byte
}

const (
	maxTime   = len("2006-01-02T15:04:05.999999999Z")
	maxNumber = len("-9223372036854775808")
)

// newWriter makes room for all that Encode may write of t.
func newWriter(t *task.Task) writer {
	n, size := 4, len("1.0")+len(t.ID)+len(t.Source)+len(t.Type)
	for _, s := range [...]string{t.ContentType, t.Key, t.TraceParent, t.TraceState} {
		if s != "" {
			n++
			size += len(s)
		}
	}
	for _, at := range [...]time.Time{t.Time, t.Expires, t.NotBefore} {
		if !at.IsZero() {
			n++
			size += maxTime
		}
	}
	for _, given := range [...]bool{t.MaxAttempts != 0, t.Timeout != 0, t.Generation != 0, t.Turn > 1, t.Attempt > 1} {
		if given {
			n++
			size += maxNumber
		}
	}
	for i := range t.Headers {
		n++
		size += len(t.Headers[i].Value)
	}
	return writer{make([]kgo.RecordHeader, 0, n), make([]byte, 0, size)}
}

// add ends a header whose value is what was appended to buf from start on. Should buf have grown, the values before it
// keep the memory that they were written to.
func (w *writer) add(key string, start int) []byte {
	v := w.buf[start:len(w.buf):len(w.buf)]
	w.headers = append(w.headers, kgo.RecordHeader{Key: key, Value: v})
	return v
}

func (w *writer) text(key, value string) []byte {
	start := len(w.buf)
	w.buf = append(w.buf, value...)
	return w.add(key, start)
}

// number writes n unless it is what its absence means.
func (w *writer) number(key string, n, absent int64) {
	if n != absent {
		start := len(w.buf)
		w.buf = strconv.AppendInt(w.buf, n, 10)
		w.add(key, start)
	}
}

// time writes at in UTC, unless it is the zero time.
func (w *writer) time(key string, at time.Time) {
	if !at.IsZero() {
		start := len(w.buf)
		w.buf = at.UTC().AppendFormat(w.buf, time.RFC3339Nano)
		w.add(key, start)
	}
}
