package task

import (
	"fmt"
	"strings"
	"time"
)

// An Option sets one property of a task that is being built. Later options win over earlier ones, and those given to
// New over the defaults given to [Define].
type Option func(*Task)

// ID chooses the task's id. Sending the same (source, id) to a queue again is sending the same task again: use it as
// the idempotency key.
func ID(id string) Option { return func(t *Task) { t.ID = id } }

// OncePer derives the id from the task's type, key and the window of time that now lies in (windows start at
// multiples of the duration since the zero time, in UTC), so that within a window the same key names one task. A window
// of 0 or less is an error.
func OncePer(window time.Duration, key string) Option {
	return func(t *Task) {
		if window <= 0 {
			t.fail(fmt.Errorf("once per %v: the window must be positive", window))
			return
		}
		t.ID = t.Type + "/" + key + "/" + time.Now().UTC().Truncate(window).Format(time.RFC3339Nano)
	}
}

// Source says where the task comes from: a URI reference, such as "/shop/orders". Default: the producer's.
func Source(source string) Option { return func(t *Task) { t.Source = source } }

// Queue chooses the queue. Default: the producer's.
func Queue(queue string) Option { return func(t *Task) { t.Queue = queue } }

// Key sets the ordering key; it matters in ordered queues only.
func Key(key string) Option { return func(t *Task) { t.Key = key } }

// In delays the first attempt by d from now. 0 or less: at once.
func In(d time.Duration) Option {
	return func(t *Task) {
		t.NotBefore = time.Time{}
		if d > 0 {
			t.NotBefore = time.Now().Add(d)
		}
	}
}

// At delays the first attempt until at. The zero time, or one that is past: at once.
func At(at time.Time) Option { return func(t *Task) { t.NotBefore = at } }

// Expires forbids attempts that would start after at: the task is then dead with the reason "expired". The zero time:
// never.
func Expires(at time.Time) Option { return func(t *Task) { t.Expires = at } }

// ExpiresIn is [Expires] at d from now.
func ExpiresIn(d time.Duration) Option { return func(t *Task) { t.Expires = time.Now().Add(d) } }

// MaxAttempts bounds how often the task is tried. 0: the type's or the queue's setting. Above the queue's limit, the
// limit holds.
func MaxAttempts(n int) Option { return func(t *Task) { t.MaxAttempts = n } }

// Timeout bounds one attempt, in whole milliseconds: its context ends then. 0: the type's or the queue's setting.
func Timeout(d time.Duration) Option { return func(t *Task) { t.Timeout = d } }

// ContentType states the payload's media type.
func ContentType(mediaType string) Option { return func(t *Task) { t.ContentType = mediaType } }

// Trace carries a W3C trace context along.
func Trace(parent, state string) Option {
	return func(t *Task) { t.TraceParent, t.TraceState = parent, state }
}

// WithHeader adds a header to the Kafka record. "ce_name" is a CloudEvents extension attribute; the attributes that
// tasktier acts on, and names beginning with "ce_tt", can't be set this way.
func WithHeader(key, value string) Option {
	return func(t *Task) {
		if reserved[key] || strings.HasPrefix(key, "ce_tt") {
			t.fail(fmt.Errorf("header %q is reserved", key))
			return
		}
		// A full slice expression, so that tasks built from shared defaults never share a tail.
		t.Headers = append(t.Headers[:len(t.Headers):len(t.Headers)], Header{key, value})
	}
}

// reserved headers carry what Task has a field for.
var reserved = map[string]bool{
	"": true, "content-type": true, "ce_specversion": true, "ce_id": true, "ce_source": true, "ce_type": true, "ce_time": true,
	"ce_datacontenttype": true, "ce_partitionkey": true, "ce_traceparent": true, "ce_tracestate": true, "ce_expirytime": true,
	"ce_notbefore": true, "ce_maxattempts": true, "ce_timeoutms": true,
}

func (t *Task) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}
