package record_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// full is a task with every field set.
func full() *task.Task {
	berlin := time.FixedZone("", 3600)
	return &task.Task{
		ID: "1", Source: "/s", Type: "t", Payload: []byte(`{"n":1}`), ContentType: "application/json",
		Time: time.Date(2026, 3, 4, 6, 6, 7, 123456789, berlin), Key: "k",
		NotBefore: time.Date(2026, 3, 4, 6, 6, 7, 0, berlin), Expires: time.Date(2027, 3, 4, 6, 6, 7, 500e6, berlin),
		MaxAttempts: 5, Timeout: 1500 * time.Millisecond,
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", TraceState: "a=b",
		Headers:    others("x-tenant", "7", "ce_color", "red"),
		Generation: 1, Turn: 2, Attempt: 3,
	}
}

func show(hs []kgo.RecordHeader) string {
	var b strings.Builder
	for _, h := range hs {
		b.WriteString(h.Key + ": " + string(h.Value) + "\n")
	}
	return b.String()
}

func TestEncode(t *testing.T) {
	for name, c := range map[string]struct {
		task *task.Task
		key  string
		want string
	}{
		"least": {good(nil), "", `
ce_specversion: 1.0
ce_id: 1
ce_source: /s
ce_type: t
`},
		"all": {full(), "k", `
ce_specversion: 1.0
ce_id: 1
ce_source: /s
ce_type: t
content-type: application/json
ce_time: 2026-03-04T05:06:07.123456789Z
ce_partitionkey: k
ce_traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
ce_tracestate: a=b
ce_expirytime: 2027-03-04T05:06:07.5Z
ce_notbefore: 2026-03-04T05:06:07Z
ce_maxattempts: 5
ce_timeoutms: 1500
ce_ttgeneration: 1
ce_ttturn: 2
ce_ttattempt: 3
x-tenant: 7
ce_color: red
`},
		"headers of fields are left out": {good(func(t *task.Task) {
			t.Headers = others("ce_id", "2", "content-type", "application/cloudevents+json", "ce_ttturn", "9", "ce_tterror", "x", "a", "b")
		}), "", `
ce_specversion: 1.0
ce_id: 1
ce_source: /s
ce_type: t
a: b
`},
		"an event as payload": {good(func(t *task.Task) { t.ContentType = "Application/cloudevents+json" }), "", `
ce_specversion: 1.0
ce_id: 1
ce_source: /s
ce_type: t
ce_datacontenttype: Application/cloudevents+json
`},
	} {
		t.Run(name, func(t *testing.T) {
			r := record.Encode(c.task, "q.pending")
			if got := "\n" + show(r.Headers); got != c.want {
				t.Errorf("got headers:%s", got)
			}
			if r.Topic != "q.pending" || string(r.Key) != c.key || string(r.Value) != string(c.task.Payload) {
				t.Errorf("got topic %q, key %q, value %q", r.Topic, r.Key, r.Value)
			}
			if c.key == "" && r.Key != nil {
				t.Error("the key is empty; it must be nil, or all such records go to one partition")
			}
		})
	}
}

func TestEncodeDecodeIsTheIdentity(t *testing.T) {
	for name, want := range map[string]*task.Task{
		"least": good(nil),
		"all":   full(),
		"event": good(func(t *task.Task) {
			t.ContentType, t.Payload = "application/cloudevents+json", []byte(`{"specversion":"1.0"}`)
		}),
		"a Duration's longest timeout": good(func(t *task.Task) { t.Timeout = math.MaxInt64 / time.Millisecond * time.Millisecond }),
		"bytes in headers":             good(func(t *task.Task) { t.Headers = others("", "", "\xff", "\x00\xff", "ce_", "x") }),
	} {
		var got task.Task
		if err := record.Decode(record.Encode(want, "q.pending"), &got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := diff(want, &got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}
