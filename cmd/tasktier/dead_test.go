package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// Payloads come through death, export and 'task send --file' byte for byte: also one of 0 bytes, and one that makes a record
// as large as its topic takes.
func TestExportIsSentAgain(t *testing.T) {
	const limit = 100_000
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	for topic, size := range map[string]int{names.Pending("q"): limit, names.Dead("q"): limit + 64<<10} {
		if _, err := admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": kadm.StringPtr(fmt.Sprint(size))}, topic); err != nil {
			t.Fatal(err)
		}
	}
	full := func(id, media string, filler byte) *kgo.Record {
		tk := &task.Task{ID: id, Source: "/test", Type: "x", ContentType: media, Turn: 1, Attempt: 1}
		tk.Payload = bytes.Repeat([]byte{filler}, limit-record.Size(record.Encode(tk, names.Pending("q"))))
		if media == "application/json" {
			tk.Payload[0], tk.Payload[len(tk.Payload)-1] = '"', '"'
		}
		return record.Encode(tk, names.Pending("q"))
	}
	small := func(id, payload string) *kgo.Record {
		return record.Encode(&task.Task{ID: id, Source: "/test", Type: "x", Payload: []byte(payload), Turn: 1, Attempt: 1}, names.Pending("q"))
	}
	null := small("null", "")
	null.Value = nil
	originals := []*kgo.Record{
		full("full of JSON", "application/json", 'x'), full("full of bytes", "application/octet-stream", 0xff),
		small("empty", ""), null, small("invalid", "\xff\x00\n"), small("lines", "{\n}"),
	}
	if size := record.Size(originals[0]); size != limit {
		t.Fatalf("the largest has %d bytes", size)
	}
	w := deadletter.NewWriter(client, "node", zap.NewNop())
	defer w.Close()
	if err := client.ProduceSync(t.Context(), originals...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for _, r := range originals {
		tk, done := &task.Task{}, make(chan error, 1)
		if err := record.Decode(r, tk); err != nil {
			t.Fatal(err)
		}
		w.Write(t.Context(), deadletter.Death{Queue: "q", Record: r, Task: tk, Reason: task.ReasonFailed, Err: errors.New(strings.Repeat("no", 4000)), Origin: "q.pending/0/1"}, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}

	store, err := deadletter.Open(deadletter.Config{Kafka: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var export bytes.Buffer
	for l, err := range store.List(t.Context(), "q", deadletter.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		e := l.Export()
		if !e.Task {
			t.Errorf("%s is exported as no task", l.ID())
		}
		export.Write(append(e.Line, '\n'))
	}
	file := newTaskFile(&export, limit)
	for _, original := range originals {
		line := file.next()
		if line.end != nil || line.bad != nil {
			t.Fatalf("%v %v", line.end, line.bad)
		}
		line.record.Topic = names.Pending("q")
		if err := client.ProduceSync(t.Context(), line.record).FirstErr(); err != nil {
			t.Errorf("%s: %v", line.id, err)
		}
		var was, is task.Task
		if err := errors.Join(record.Decode(original, &was), record.Decode(line.record, &is)); err != nil {
			t.Fatal(err)
		}
		if is.ID != was.ID || is.Source != was.Source || is.ContentType != was.ContentType || !bytes.Equal(is.Payload, was.Payload) || is.Generation != 1 {
			t.Errorf("%s came back as %s with %d bytes of %d", was.ID, is.ID, len(is.Payload), len(was.Payload))
		}
	}
}
