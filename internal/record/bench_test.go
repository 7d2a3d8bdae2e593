package record_test

import (
	"testing"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

const payload = `{"to":"ada@example.org","subject":"Welcome","template":"welcome-2","locale":"en","user":4711,"x":true}`

// sixHeaders is a record as our producers and most SDKs write it.
func sixHeaders() *kgo.Record {
	return &kgo.Record{Value: []byte(payload), Headers: headers(
		"ce_specversion", "1.0", "ce_id", "01959f5e-8a3e-7c1d-b0a4-5f6e7d8c9b0a", "ce_source", "/shop/orders",
		"ce_type", "mail.send", "content-type", "application/json", "ce_time", "2026-03-04T05:06:07.123Z")}
}

func sixFields(b testing.TB) *task.Task {
	var t task.Task
	if err := record.Decode(sixHeaders(), &t); err != nil {
		b.Fatal(err)
	}
	return &t
}

func BenchmarkDecodeBinary(b *testing.B) { benchmarkDecode(b, sixHeaders()) }

func BenchmarkDecodeStructured(b *testing.B) {
	benchmarkDecode(b, value(`{"specversion":"1.0","id":"01959f5e-8a3e-7c1d-b0a4-5f6e7d8c9b0a","source":"/shop/orders","type":"mail.send",`+
		`"datacontenttype":"application/json","time":"2026-03-04T05:06:07.123Z","data":`+payload+`}`, "content-type", "application/cloudevents+json"))
}

func benchmarkDecode(b *testing.B, r *kgo.Record) {
	b.ReportAllocs()
	b.SetBytes(int64(len(r.Value)))
	for b.Loop() {
		var t task.Task
		if err := record.Decode(r, &t); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	t := sixFields(b)
	b.ReportAllocs()
	for b.Loop() {
		record.Encode(t, "tasks.pending")
	}
}

func BenchmarkMove(b *testing.B) {
	r := sixHeaders()
	b.ReportAllocs()
	for b.Loop() {
		record.Move(r, "tasks.dead", nil, record.Stamp{Turn: 2, Attempt: 2, Err: "boom", Reason: task.ReasonFailed})
	}
}

// The limits that the benchmarks must stay under.
func TestAllocations(t *testing.T) {
	r, full := sixHeaders(), sixFields(t)
	var got task.Task
	if n := testing.AllocsPerRun(100, func() {
		got = task.Task{}
		_ = record.Decode(r, &got)
	}); n > 2 {
		t.Errorf("Decode of six headers: %v allocations, at most 2", n)
	}
	if n := testing.AllocsPerRun(100, func() { record.Encode(full, "tasks.pending") }); n > 4 {
		t.Errorf("Encode: %v allocations, at most 4", n)
	}
}
