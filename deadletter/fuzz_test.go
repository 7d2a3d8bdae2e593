package deadletter

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// FuzzLetter: whatever lies in a dead-letter topic can be shown, exported as one line of JSON without losing a byte, and
// replayed as it was in its next generation.
func FuzzLetter(f *testing.F) {
	tk := &task.Task{ID: "7", Source: "/s", Type: "t", Payload: []byte(`{"n":1}`), Headers: []task.Header{{Key: "ce_tenant", Value: "a"}, {Key: "raw", Value: "b"}}}
	r := record.Move(record.Encode(tk, "q.pending"), "q.dead", nil, record.Stamp{Generation: 1, Turn: 2, Attempt: 3, Err: "no", Reason: task.ReasonFailed, Key: []byte("k")})
	var names, values []byte
	for _, h := range r.Headers {
		names, values = append(append(names, h.Key...), 0), append(append(values, h.Value...), 0)
	}
	f.Add([]byte("key"), names, values, r.Value)
	f.Add([]byte("\xff\x00"), []byte("ce_ttattempt\x00"), []byte("-1\x00"), []byte("\xff\n"))
	f.Add([]byte("q/0/1"), []byte(nil), []byte(nil), []byte(`{"specversion":"1.0","id":"7","source":"/s","type":"t","ttgeneration":2147483646,"data":"é\u2028"}`))
	f.Add([]byte(""), []byte("content-type\x00"), []byte("application/cloudevents+json\x00"), []byte(`{"specversion":"1.0","id":"7","source":"/s","type":"t","data_base64":"AP8="}`))
	f.Fuzz(func(t *testing.T, key, names, values, value []byte) {
		r := &kgo.Record{Key: key, Value: value, Topic: "q.dead"}
		of := bytes.Split(values, []byte{0})
		for i, name := range bytes.Split(names, []byte{0}) {
			if len(name) > 0 && i < len(of) {
				r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(name), Value: of[i]})
			}
		}
		if tombstone(r) {
			return
		}
		var l Letter
		l.read("q", own(r))
		if l.ID() == "" && len(key) > 0 || l.Bytes() < len(value)+len(key) {
			t.Fatalf("%+v", l)
		}
		export(t, &l)
		again := l.next()
		if !bytes.Equal(again.Value, value) || again.Topic != "q.pending" {
			t.Fatalf("replays %q of %q", again.Value, value)
		}
		var next task.Task
		err := record.Decode(again, &next)
		if l.Bad == nil && err != nil && l.Generation < 1<<31-1 { // a stamp that can't be read is mended by the replay's own
			t.Fatalf("%+v is replayed, and can't be read: %v", l.Task, err)
		}
		if err == nil && (next.ID != l.Task.ID || next.Source != l.Task.Source || next.Generation != l.Generation+1 || next.Turn != 1 || next.Attempt != 1 || !bytes.Equal(next.Payload, l.Task.Payload)) {
			t.Fatalf("%+v is replayed as %+v", l.Task, next)
		}
	})
}

// export checks a letter's line.
func export(t *testing.T, l *Letter) {
	t.Helper()
	e := l.Export()
	if !json.Valid(e.Line) || bytes.ContainsAny(e.Line, "\n\r") || e.Task && l.Bad != nil {
		t.Fatalf("exports %q, a task: %v, bad: %v", e.Line, e.Task, l.Bad)
	}
	if e.Task {
		var sent task.Task
		if err := record.Decode(&kgo.Record{Value: e.Line}, &sent); err != nil || !bytes.Equal(sent.Payload, l.Task.Payload) || sent.Generation != l.Generation+1 {
			t.Fatalf("exports %q, which is read as %+v, %v", e.Line, sent, err)
		}
		return
	}
	var raw struct {
		Value []byte `json:"value_base64"`
		Key   []byte `json:"key_base64"`
	}
	if err := json.Unmarshal(e.Line, &raw); err != nil || !bytes.Equal(raw.Value, l.Record.Value) || !bytes.Equal(raw.Key, l.OriginalKey()) {
		t.Fatalf("exports %q: %v", e.Line, err)
	}
}
