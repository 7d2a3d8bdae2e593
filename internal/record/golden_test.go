package record_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A golden is a file of testdata: a record as a foreign library wrote it, and what it must become.
type golden struct {
	About  string
	Record struct {
		Key, Value *string
		Headers    [][2]string
	}
	Task *struct {
		ID, Source, Type, ContentType, Key string
		Payload                            string
		PayloadBase64                      []byte
		Time                               time.Time
		MaxAttempts, TimeoutMS, Attempt    int
		Headers                            [][2]string
	}
	Error *struct {
		Reason    task.Reason
		Attribute string
	}
}

func (g *golden) record() *kgo.Record {
	r := &kgo.Record{Topic: "tasks.pending"}
	if g.Record.Key != nil {
		r.Key = []byte(*g.Record.Key)
	}
	if g.Record.Value != nil {
		r.Value = []byte(*g.Record.Value)
	}
	for _, h := range g.Record.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
	}
	return r
}

func (g *golden) task() task.Task {
	w := g.Task
	t := task.Task{
		ID: w.ID, Source: w.Source, Type: w.Type, ContentType: w.ContentType, Key: w.Key, Time: w.Time,
		MaxAttempts: w.MaxAttempts, Timeout: time.Duration(w.TimeoutMS) * time.Millisecond,
		Turn: 1, Attempt: max(w.Attempt, 1), Payload: w.PayloadBase64,
	}
	if w.Payload != "" {
		t.Payload = []byte(w.Payload)
	}
	for _, h := range w.Headers {
		t.Headers = append(t.Headers, task.Header{Key: h[0], Value: h[1]})
	}
	return t
}

func goldens(t testing.TB) map[string]*golden {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden records: %v", err)
	}
	all := make(map[string]*golden, len(files))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		g := new(golden)
		if err := json.Unmarshal(b, g); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = g
	}
	return all
}

// The records of the SDKs are what those libraries wrote, not what we think they write.
func TestGolden(t *testing.T) {
	for name, g := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			var got task.Task
			err := record.Decode(g.record(), &got)
			if g.Error != nil {
				wantError(t, err, g.Error.Reason, g.Error.Attribute)
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", g.About, err)
			}
			want := g.task()
			if d := diff(&want, &got); d != "" {
				t.Errorf("%s:\n%s", g.About, d)
			}
		})
	}
}

// A record of any form, moved, is the same task in its next turn.
func TestGoldenMoved(t *testing.T) {
	for name, g := range goldens(t) {
		if g.Error != nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			r := g.record()
			moved := record.Move(r, "tasktier.retry.minute", r.Key, record.Stamp{Queue: "tasks", Due: time.Now(), Generation: 2, Turn: 3, Attempt: 4, Err: "boom"})
			var got task.Task
			if err := record.Decode(moved, &got); err != nil {
				t.Fatal(err)
			}
			want := g.task()
			want.Generation, want.Turn, want.Attempt = 2, 3, 4
			if d := diff(&want, &got); d != "" {
				t.Error(d)
			}
		})
	}
}
