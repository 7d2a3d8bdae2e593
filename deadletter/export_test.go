package deadletter_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Every payload comes out of an export as it was, whatever its bytes and however the task was sent.
func TestExport(t *testing.T) {
	payloads := []struct{ name, payload string }{
		{"none", ""}, {"an object", `{"n":1}`}, {"spaces", ` { "n" : 1.0 } `}, {"lines", "{\n\"n\":1\r\n}"}, {"null", "null"}, {"a number beyond all", "12345678901234567890.10"},
		{"text", "hello"}, {"a JSON text", `"a\u00e9\/b"`}, {"binary", "\x00\xff\xfe\n"}, {"invalid UTF-8 in JSON", "\"\xff\""}, {"many bytes", strings.Repeat("x", 200_000)},
		{"deep", strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)}, {"HTML", `{"a":"<b>&\u2028"}`}, {"a task", `{"specversion":"1.0","id":"x"}`},
	}
	at := time.Date(2031, 2, 3, 4, 5, 6, 789, time.UTC)
	on(t, 1, func(t *testing.T, g *ground) {
		var want []*task.Task
		var deaths []*kgo.Record
		for i, p := range payloads {
			for j, media := range []string{"", "application/json", "text/plain", "application/octet-stream"} {
				tk := &task.Task{
					ID: fmt.Sprintf("%d-%d \"<é", i, j), Source: "/a?b=c", Type: "x", Payload: []byte(p.payload), ContentType: media, Time: at, Key: "k\u2028y",
					NotBefore: at.Add(1), Expires: at.Add(2), MaxAttempts: 7, Timeout: 1500 * time.Millisecond,
					TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "a=b", Headers: []task.Header{{Key: "ce_tenant", Value: "a\"b"}},
				}
				want = append(want, tk)
				r := record.Encode(tk, "q.pending")
				s := record.Stamp{Generation: 1, Turn: 2, Attempt: 3, Err: "no", Reason: task.ReasonFailed, Died: epoch.Add(time.Duration(len(want)) * time.Millisecond)}
				deaths = append(deaths, record.Move(r, g.queue+".dead", deadletter.Key(tk.Source, tk.ID, 1), s))
			}
		}
		g.produce(deaths...)
		letters := g.list(deadletter.Filter{})
		if len(letters) != len(want) {
			t.Fatalf("%d letters, want %d", len(letters), len(want))
		}
		for i, l := range letters {
			e := l.Export()
			if !e.Task || e.LeftOut != 0 || bytes.ContainsAny(e.Line, "\n\r") || !json.Valid(e.Line) {
				t.Errorf("%.50q: a task: %v, %d left out, %.200q", want[i].Payload, e.Task, e.LeftOut, e.Line)
				continue
			}
			got := task.Task{}
			if err := record.Decode(&kgo.Record{Value: e.Line}, &got); err != nil {
				t.Errorf("%.50q: %v", want[i].Payload, err)
			}
			was := *want[i]
			was.Generation, was.Turn, was.Attempt = 2, 1, 1 // its next life
			if !bytes.Equal(got.Payload, was.Payload) {
				t.Errorf("%.50q came out as %.50q", was.Payload, got.Payload)
			}
			got.Payload, was.Payload = nil, nil
			if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", was); g != w {
				t.Errorf("got  %s\nwant %s", g, w)
			}
		}
	})
}

// What came in another form comes out as an event too, and what a CloudEvent can't carry is counted.
func TestExportOfOtherForms(t *testing.T) {
	g := newGround(t, kafkas["kfake"](t), 1, nil)
	tests := []struct {
		name    string
		raw     kgo.Record
		line    string // "": it is no task
		leftOut int
	}{
		{"plain", kgo.Record{Value: []byte(`{"id":"7","type":"x","payload":{"n":1},"status":"new","retry":2}`)},
			`{"specversion":"1.0","id":"7","source":"/plain","type":"x","datacontenttype":"application/json","ttgeneration":1,"data":{"n":1}}`, 0},
		{"structured", kgo.Record{Value: []byte(`{"specversion":"1.0","id":"8","source":"/s","type":"x","flag":true,"data_base64":"AP8="}`)},
			`{"specversion":"1.0","id":"8","source":"/s","type":"x","ttgeneration":1,"flag":"true","data_base64":"AP8="}`, 0},
		{"headers that are none", kgo.Record{Headers: []kgo.RecordHeader{
			{Key: "ce_id", Value: []byte("9")}, {Key: "ce_source", Value: []byte("/s")}, {Key: "ce_type", Value: []byte("x")},
			{Key: "x-trace", Value: []byte("1")}, {Key: "ce_color", Value: []byte("\xff")}, {Key: "ce_data", Value: []byte("2")},
			{Key: "ce_size", Value: []byte("s")}, {Key: "ce_size", Value: []byte("m")},
		}}, `{"specversion":"1.0","id":"9","source":"/s","type":"x","ttgeneration":1,"size":"m"}`, 3},
		{"no task", kgo.Record{Key: []byte("k"), Value: []byte("\x00\xff"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("\xfe")}}}, "", 0},
		{"a task that can't be obeyed", kgo.Record{Value: []byte(`{"specversion":"1.0","id":"10","source":"/s","type":"x","notbefore":"soon"}`)}, "", 0},
	}
	for i := range tests {
		tests[i].raw.Topic = "q.pending"
		var tk task.Task
		err := record.Decode(&tests[i].raw, &tk)
		key := deadletter.Key(tk.Source, tk.ID, 0)
		s := record.Stamp{Err: "no", Reason: task.ReasonUndecodable, Origin: fmt.Sprint("q.pending/0/", i), Died: epoch.Add(time.Duration(i) * time.Second), Key: tests[i].raw.Key}
		if err == nil {
			s.Turn, s.Attempt = 1, 3
		} else {
			key = deadletter.OriginKey(s.Origin)
		}
		g.produce(record.Move(&tests[i].raw, g.queue+".dead", key, s))
	}
	for i, l := range g.list(deadletter.Filter{}) {
		tt := tests[i]
		e := l.Export()
		if e.Task != (tt.line != "") || tt.line != "" && string(e.Line) != tt.line || e.LeftOut != tt.leftOut {
			t.Errorf("%s: a task: %v, %d left out:\n%s\nwant\n%s", tt.name, e.Task, e.LeftOut, e.Line, tt.line)
		}
		if tt.line != "" {
			continue
		}
		var raw struct {
			Letter, Queue, Reason, Error, Origin string
			Died                                 time.Time
			Headers                              [][2]any
			Key                                  []byte `json:"key_base64"`
			Value                                []byte `json:"value_base64"`
		}
		if err := json.Unmarshal(e.Line, &raw); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if raw.Queue != g.queue || raw.Origin != l.Origin || raw.Reason != "undecodable" || raw.Error != "no" || !raw.Died.Equal(l.Died) ||
			!bytes.Equal(raw.Key, tt.raw.Key) || !bytes.Equal(raw.Value, tt.raw.Value) || len(raw.Headers) != len(tt.raw.Headers) {
			t.Errorf("%s: %s", tt.name, e.Line)
		}
		if err := record.Decode(&kgo.Record{Value: e.Line}, &task.Task{}); err == nil {
			t.Errorf("%s: its line would be sent: %s", tt.name, e.Line)
		}
	}
}
