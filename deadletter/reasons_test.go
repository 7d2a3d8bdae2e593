package deadletter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/tasktier/tasktier/retry"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// Each reason but poison, which takes processes that die (TestPoison of test/pipeline has it), is given by a real consumer,
// and its letter is the original: payload, headers and key, byte for byte.
func TestReasons(t *testing.T) {
	binary := func(id, typ string, more ...string) []kgo.RecordHeader {
		var hs []kgo.RecordHeader
		for i, all := 0, append([]string{"ce_specversion", "1.0", "ce_id", id, "ce_source", "/test", "ce_type", typ}, more...); i < len(all); i += 2 {
			hs = append(hs, kgo.RecordHeader{Key: all[i], Value: []byte(all[i+1])})
		}
		return hs
	}
	tests := []struct {
		name   string
		reason task.Reason
		record kgo.Record
	}{
		{"failed", task.ReasonFailed, kgo.Record{Headers: binary("failed", "permanent"), Value: []byte(`{"n":1}`)}},
		{"failed, an empty payload", task.ReasonFailed, kgo.Record{Headers: binary("empty", "permanent"), Value: []byte{}}},
		{"failed, no payload", task.ReasonFailed, kgo.Record{Headers: binary("null", "permanent")}},
		{"failed, a key that is no text", task.ReasonFailed, kgo.Record{Headers: binary("keyed", "permanent"), Key: []byte("\x00\xff"), Value: []byte("x")}},
		{"failed, an empty key", task.ReasonFailed, kgo.Record{Headers: binary("blank", "permanent"), Key: []byte{}, Value: []byte("x")}},
		{"failed, as large as its topic takes", task.ReasonFailed, kgo.Record{Headers: binary("large", "permanent"), Value: bytes.Repeat([]byte{0xfe}, 100<<10)}},
		{"exhausted", task.ReasonExhausted, kgo.Record{Headers: binary("exhausted", "fails", "x", "\xff"), Value: []byte("\xff\x00not text")}},
		{"expired", task.ReasonExpired, kgo.Record{Headers: binary("expired", "fails", "ce_expirytime", "2001-01-01T00:00:00Z"), Value: []byte("x")}},
		{"unhandled", task.ReasonUnhandled, kgo.Record{Headers: binary("unhandled", "nobody's"), Value: []byte("x")}},
		{"undecodable", task.ReasonUndecodable, kgo.Record{Key: []byte("key"), Value: []byte("\x00?")}},
		{"invalid", task.ReasonInvalid, kgo.Record{Headers: binary("invalid", "fails", "ce_notbefore", "soon"), Value: []byte("x")}},
		{"oversize", task.ReasonOversize, kgo.Record{Headers: binary("oversize", "later"), Value: []byte("x")}},
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1),
		kfake.SeedTopics(tier.Minute.Partitions, names.RetryMinute("tasktier")), kfake.SeedTopics(tier.Hour.Partitions, names.RetryHour("tasktier")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	g := newGround(t, cluster.ListenAddrs(), 2, nil)
	testenv.CreateTopics(t, g.client, 1, nil, names.Pending(g.queue))
	// What waits is refused by its tier: it outgrew it.
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: names.RetryMinute("tasktier"), Err: kerr.MessageTooLarge, Count: -1})
	for i := range tests {
		tests[i].record.Topic = names.Pending(g.queue)
		g.produce(&tests[i].record)
	}

	mux := consumer.NewMux()
	for typ, err := range map[string]error{
		"permanent": task.Permanent(errors.New("no such customer")), "fails": errors.New("no luck"), "later": task.RetryAfter(time.Hour, errors.New("not now")),
	} {
		if err := mux.Handle(typ, func(ctx context.Context, tk *task.Task) error { return err }); err != nil {
			t.Fatal(err)
		}
	}
	settled := make(chan struct{}, 100)
	c, err := consumer.New(consumer.Config{
		Kafka:   []kgo.Opt{kgo.SeedBrokers(g.addrs...)},
		Queues:  []consumer.Queue{{Name: g.queue, Retry: retry.Policy{MaxAttempts: 2, Base: time.Millisecond, Max: time.Millisecond}, Unhandled: time.Nanosecond}},
		Mux:     mux,
		Node:    "node-7",
		Settled: func(consumer.Settled) { settled <- struct{}{} },
		Log:     zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	letters := make(map[string]*deadletter.Letter)
	for end := time.After(time.Minute); len(letters) < len(tests); {
		select {
		case <-settled:
		case <-end:
			t.Fatalf("after a minute there are letters of %d of %d", len(letters), len(tests))
		}
		for _, l := range g.list(deadletter.Filter{}) {
			letters[l.Origin] = l
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	byID := make(map[string]*deadletter.Letter)
	for _, l := range letters {
		byID[l.ID()] = l
	}
	for i, tt := range tests {
		var tk task.Task
		_ = record.Decode(&tt.record, &tk)
		id := tk.ID
		if id == "" {
			id = fmt.Sprintf("%s/0/%d", names.Pending(g.queue), i)
		}
		l := byID[id]
		if l == nil {
			t.Errorf("%s: no letter %q", tt.name, id)
			continue
		}
		if l.Reason != tt.reason || l.Err == "" || l.FirstErr == "" || l.Node != "node-7" || l.Died.IsZero() || l.Origin == "" {
			t.Errorf("%s: %+v", tt.name, l)
		}
		if !bytes.Equal(l.Record.Value, tt.record.Value) || fmt.Sprintf("%q", l.Headers()) != fmt.Sprintf("%q", tt.record.Headers) {
			t.Errorf("%s: value %.100q, headers %q", tt.name, l.Record.Value, l.Headers())
		}
		if !bytes.Equal(l.OriginalKey(), tt.record.Key) || (l.OriginalKey() == nil) != (tt.record.Key == nil) {
			t.Errorf("%s: its key was %q, is %q", tt.name, tt.record.Key, l.OriginalKey())
		}
	}
}
