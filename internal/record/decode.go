package record

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

const cloudEvents = "application/cloudevents"

// maxTimeoutMS is the longest timeout in milliseconds that a time.Duration holds.
const maxTimeoutMS = math.MaxInt64 / int64(time.Millisecond)

// Decode reads r into t, which must be a zero Task but may bring capacity in Headers. It sets no Queue: that follows
// from the topic.
//
// Payload aliases r.Value, with no capacity beyond it, unless it had to be unescaped or was base64. All strings are
// copies, in one allocation: they keep no batch of records in memory. Times are in UTC.
//
// A returned error is an *[Error]. Where its reason is invalid, t holds what could be read, so that a dead letter can
// say whose it is: an attribute that is itself at fault is left empty, and so are ID and Source where the identity is
// too long. Where the reason is undecodable, t is not touched.
func Decode(r *kgo.Record, t *task.Task) error {
	var (
		head, body event
		room       [8]member
	)
	body.members = room[:0]
	label, binary := head.readHeaders(r.Headers)
	labelled := len(label) >= len(cloudEvents) && foldEqual(label[:len(cloudEvents)], cloudEvents)
	if binary && !labelled {
		return head.fill(r, t, r.Value)
	}

	scan, ok := scanObject(r.Value)
	if !ok {
		if labelled {
			return undecodable("", "is labelled %.64q, but its value is not a JSON object", label)
		}
		return undecodable("", "is no CloudEvent: it has no ce_ headers, and its value is not a JSON object")
	}
	body.readObject(scan)
	switch {
	case labelled || body.attrs[specVersion] != nil:
		body.overrule(&head)
		payload, bad := body.structuredPayload()
		if err := body.fill(r, t, payload); err != nil {
			return err
		}
		if bad != nil {
			return bad
		}
		return nil
	case body.attrs[id] != nil && body.attrs[typ] != nil:
		return body.fillPlain(r, t, &head)
	}
	return undecodable("", "is no CloudEvent: it has no ce_ headers, and its value has no specversion, nor id and type")
}

// overrule takes generation, turn and attempt from the record's headers, where a move has put them.
func (e *event) overrule(head *event) {
	for a := generation; a <= attempt; a++ {
		if head.attrs[a] != nil {
			e.attrs[a] = head.attrs[a]
		}
	}
}

// fillPlain is fill for the plain form, which is these members and no others.
func (e *event) fillPlain(r *kgo.Record, t *task.Task, head *event) error {
	plain := event{compound: e.compound}
	plain.attrs[id], plain.attrs[typ] = e.attrs[id], e.attrs[typ]
	plain.attrs[source] = []byte(plainSource)
	plain.attrs[contentType] = []byte("application/json")
	plain.overrule(head)
	var payload []byte
	if e.payload.kind != absent {
		payload = e.payload.raw
	}
	err := plain.fill(r, t, payload)
	if e.retry.kind == absent || e.retry.kind == null || plain.attrs[attempt] != nil {
		return err
	}
	retry, ok := integer(e.retry.value(), maxInt-1)
	if !ok && err == nil {
		return invalid("retry", "is %.64q, not a number from 0", e.retry.raw)
	}
	if ok {
		t.Attempt = int(retry) + 1
	}
	return err
}

// fill understands the attributes and sets t.
func (e *event) fill(r *kgo.Record, t *task.Task, payload []byte) error {
	if v := e.attrs[specVersion]; v != nil && (e.isCompound(specVersion) || !readable(v)) {
		return undecodable("specversion", "is %.64q; 1.x and 0.3 are read", v)
	}
	var bad *Error
	fail := func(err *Error) {
		if bad == nil {
			bad = err
		}
	}

	e.checkIdentity(fail)
	key := e.attrs[partitionKey]
	if len(key) == 0 {
		key = r.Key
	}
	trace, state := e.attrs[traceParent], e.attrs[traceState]
	if !validTraceParent(trace) {
		trace, state = nil, nil
	}
	e.copyTexts(r, t, key, trace, state)

	if v := e.attrs[eventTime]; v != nil {
		t.Time, _ = timestamp(v)
	}
	t.NotBefore = e.instant(notBefore, fail)
	t.Expires = e.instant(expiryTime, fail)
	if v := e.attrs[expiryTime]; v != nil && t.Expires.IsZero() {
		// The zero time means "never expires" in a Task, but its sender wrote a time that is long past.
		t.Expires = t.Expires.Add(1)
	}
	if n, ok := integer(e.attrs[maxAttempts], maxInt); ok {
		t.MaxAttempts = int(n)
	}
	if n, ok := integer(e.attrs[timeoutMS], maxTimeoutMS); ok {
		t.Timeout = time.Duration(n) * time.Millisecond
	}
	t.Generation = e.count(generation, 0, fail)
	t.Turn = e.count(turn, 1, fail)
	t.Attempt = e.count(attempt, 1, fail)

	if len(payload) > 0 {
		t.Payload = payload[:len(payload):len(payload)]
	}
	if bad != nil {
		return bad
	}
	return nil
}

// readable says whether events of this version of CloudEvents are understood.
func readable(version []byte) bool {
	if string(version) == "0.3" {
		return true
	}
	if len(version) < 3 || len(version) > 16 || version[0] != '1' || version[1] != '.' {
		return false
	}
	for _, c := range version[2:] {
		if (c < '0' || c > '9') && c != '.' {
			return false
		}
	}
	return true
}

// checkIdentity takes away what can't name a task, select its handler or order it.
func (e *event) checkIdentity(fail func(*Error)) {
	for _, a := range [...]attribute{id, source, typ, partitionKey, contentType} {
		if e.isCompound(a) {
			fail(invalid(attributeNames[a], "is a JSON object or array"))
			e.attrs[a] = nil
		}
	}
	for _, a := range [...]attribute{id, source, typ} {
		v := e.attrs[a]
		switch {
		case len(v) == 0:
			fail(invalid(attributeNames[a], "is missing"))
		case !utf8.Valid(v):
			fail(invalid(attributeNames[a], "is not valid UTF-8: %.64q", v))
			e.attrs[a] = nil
		}
	}
	if n := len(e.attrs[id]) + len(e.attrs[source]); n > task.MaxIdentity {
		fail(invalid(attributeNames[id], "and source have %d bytes together, at most %d", n, task.MaxIdentity))
		e.attrs[id], e.attrs[source] = nil, nil
	}
}

// copyTexts sets all strings of t as parts of a single one. Names of record headers need no copy: kgo made them
// strings of their own.
func (e *event) copyTexts(r *kgo.Record, t *task.Task, key, trace, state []byte) {
	size := len(e.attrs[id]) + len(e.attrs[source]) + len(e.attrs[typ]) + len(e.attrs[contentType]) + len(key) + len(trace) + len(state)
	extra := len(e.members)
	for i := range r.Headers {
		if passes(r.Headers[i].Key) {
			size += len(r.Headers[i].Value)
			extra++
		}
	}
	for i := range e.members {
		m := &e.members[i]
		size += len(prefix) + len(m.name) + len(m.raw)
	}

	var all strings.Builder
	all.Grow(size)
	put := func(b []byte) string {
		start := all.Len()
		all.Write(b)
		return all.String()[start:]
	}
	t.ID, t.Source, t.Type = put(e.attrs[id]), put(e.attrs[source]), put(e.attrs[typ])
	t.ContentType, t.Key = put(e.attrs[contentType]), put(key)
	t.TraceParent, t.TraceState = put(trace), put(state)

	if extra == 0 {
		return
	}
	if cap(t.Headers) < extra {
		t.Headers = make([]task.Header, 0, extra)
	}
	for i := range r.Headers {
		if h := &r.Headers[i]; passes(h.Key) {
			t.Headers = append(t.Headers, task.Header{Key: h.Key, Value: put(h.Value)})
		}
	}
	for i := range e.members {
		m := &e.members[i]
		start := all.Len()
		all.WriteString(prefix)
		all.Write(m.name)
		t.Headers = append(t.Headers, task.Header{Key: all.String()[start:], Value: put(m.value())})
	}
}

// passes says whether a record header is handed through to the handler.
func passes(key string) bool { return key != contentTypeHeader && headerAttribute(key) == unknown }

func (e *event) instant(a attribute, fail func(*Error)) time.Time {
	v := e.attrs[a]
	if v == nil {
		return time.Time{}
	}
	at, ok := timestamp(v)
	if !ok {
		fail(invalid(attributeNames[a], "is %.64q, not an RFC 3339 time", v))
	}
	return at
}

// count reads an integer that is least when absent, and at least that.
func (e *event) count(a attribute, least int, fail func(*Error)) int {
	v := e.attrs[a]
	if v == nil {
		return least
	}
	n, ok := integer(v, maxInt)
	if !ok || int(n) < least {
		fail(invalid(attributeNames[a], "is %.64q, not a number from %d to %d", v, least, maxInt))
		return least
	}
	return int(n)
}

// validTraceParent checks the form that W3C Trace Context, section 3.2, gives the header.
func validTraceParent(b []byte) bool {
	const length = 55 // version-traceid-parentid-flags: 2, 32, 16 and 2 digits
	if len(b) < length || len(b) > 512 || b[2] != '-' || b[35] != '-' || b[52] != '-' {
		return false
	}
	if string(b[:2]) == "ff" || len(b) > length && (string(b[:2]) == "00" || b[length] != '-') {
		return false
	}
	zeros := true
	for i, c := range b[:length] {
		switch i {
		case 2:
			continue
		case 35, 52:
			if zeros {
				return false
			}
			zeros = true
			continue
		case 3:
			zeros = true
		}
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
		zeros = zeros && c == '0'
	}
	return true
}
