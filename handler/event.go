package handler

import (
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tasktier/tasktier/task"
)

// eventHeader is t's part of a binary CloudEvents HTTP message that is not the body (HTTP protocol binding 1.0.2,
// section 3.1), with the run's fencing token if it has one. An error means that no such message says what t says.
func eventHeader(t *task.Task, by tokens) (http.Header, error) {
	h := make(http.Header, 16)
	set := func(name, value string) { h.Set("ce-"+name, encodeValue(value)) }
	for _, e := range t.Headers {
		if name, ok := strings.CutPrefix(e.Key, "ce_"); ok && isExtension(name) {
			set(name, e.Value) // a repeated one: the last counts
		}
	}
	set("specversion", "1.0")
	set("id", t.ID)
	set("source", t.Source)
	set("type", t.Type)
	for _, o := range []struct{ name, value string }{
		{"partitionkey", t.Key}, {"traceparent", t.TraceParent}, {"tracestate", t.TraceState},
		{"time", timestamp(t.Time)}, {"notbefore", timestamp(t.NotBefore)}, {"expirytime", timestamp(t.Expires)},
		{"maxattempts", positive(int64(t.MaxAttempts))}, {"timeoutms", positive(t.Timeout.Milliseconds())},
		{"ttfence", positive(by.fence)}, {"ttslot", positive(by.slot)},
	} {
		if o.value != "" {
			set(o.name, o.value)
		}
	}
	set("ttqueue", t.Queue)
	set("ttgeneration", strconv.Itoa(t.Generation))
	set("ttturn", strconv.Itoa(t.Turn))
	set("ttattempt", strconv.Itoa(t.Attempt))

	// The extension above keeps the trace that the event began in. These belong to the hop (W3C Trace Context): a
	// client with tracing of its own replaces them.
	if isTraceParent(t.TraceParent) {
		h.Set("traceparent", t.TraceParent)
		if t.TraceState != "" && isPrintable(t.TraceState) {
			h.Set("tracestate", t.TraceState)
		}
	}
	h.Set("User-Agent", "tasktier")
	return h, setContentType(h, t.ContentType)
}

// setContentType states the payload's media type, which the binding does not encode. A payload that is a CloudEvent
// itself would make the whole message a structured one, with another identity: it can't be sent in this mode.
func setContentType(h http.Header, contentType string) error {
	if contentType == "" {
		return nil
	}
	if !isPrintable(contentType) {
		return fmt.Errorf("content type %s can't be a header", quote(contentType))
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = strings.ToLower(contentType)
	}
	if strings.HasPrefix(media, "application/cloudevents") {
		return fmt.Errorf("content type %s would hide the task's own attributes", quote(contentType))
	}
	h.Set("Content-Type", contentType)
	return nil
}

// notExtensions are the attributes that a Task has a field for or that HTTP has a place for. Beside a structured event
// there may be stray headers of their names.
var notExtensions = map[string]bool{
	"id": true, "source": true, "specversion": true, "type": true, "time": true, "datacontenttype": true,
	"partitionkey": true, "traceparent": true, "tracestate": true, "expirytime": true, "notbefore": true,
	"maxattempts": true, "timeoutms": true,
}

// isExtension says whether name is an attribute to pass on as it is: a legal name, and not one that only tasktier may
// set, as ttfence, which a service trusts.
func isExtension(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && !strings.HasPrefix(name, "tt") && !notExtensions[name]
}

// encodeValue is the percent-encoding of the HTTP binding, section 3.1.3.2: of space, double quote, percent, and all
// that is not printable ASCII. Bytes that are no UTF-8 become U+FFFD, as a receiver must refuse them.
func encodeValue(s string) string {
	const hex = "0123456789ABCDEF"
	plain := func(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '%' }
	extra := 0
	s = strings.ToValidUTF8(s, "\uFFFD")
	for i := range len(s) {
		if !plain(s[i]) {
			extra += 2
		}
	}
	if extra == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+extra)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func timestamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Format(time.RFC3339Nano)
}

func positive(n int64) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// isTraceParent checks the alphabet and the shortest length of a traceparent; the rest is for its reader.
func isTraceParent(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'f') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return len(s) >= 55
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
