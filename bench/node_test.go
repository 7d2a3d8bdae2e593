package bench

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// mail is a payload of 95 bytes as JSON.
type mail struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	Count   int    `json:"count"`
}

var send = task.Define[mail]("email.send", task.Source("/bench"))

// BenchmarkProcess consumes b.N tasks that are waiting on a queue of 24 partitions, decoding each one's JSON payload and
// doing nothing with it: first the loop that one writes by hand with franz-go, then a node.
func BenchmarkProcess(b *testing.B) {
	for _, side := range []struct {
		name string
		run  func(b *testing.B, brokers []string, queue string)
	}{
		{"bare", bare}, {"node", node},
	} {
		b.Run(side.name, func(b *testing.B) {
			brokers := testenv.Kafka(b)
			queue := testenv.Unique(b)
			fill(b, brokers, queue, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			side.run(b, brokers, queue)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}

// bare polls, decodes and marks; the client commits the marks in the background.
func bare(b *testing.B, brokers []string, queue string) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumerGroup(queue), kgo.ConsumeTopics(names.Pending(queue)),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.AutoCommitMarks(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		b.Fatal(err)
	}
	for n := 0; n < b.N; {
		fetches := cl.PollRecords(b.Context(), 10_000)
		if err := fetches.Err(); err != nil {
			b.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			var m mail
			if err := json.Unmarshal(r.Value, &m); err != nil {
				b.Fatal(err)
			}
			cl.MarkCommitRecords(r)
			n++
		})
	}
	b.StopTimer()
	cl.Close()
}

// node runs a consumer at its default settings.
func node(b *testing.B, brokers []string, queue string) {
	var n atomic.Int64
	ctx, cancel := context.WithCancel(b.Context())
	mux := consumer.NewMux()
	if err := consumer.Handle(mux, send, func(context.Context, mail) error {
		if n.Add(1) == int64(b.N) {
			cancel()
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	c, err := consumer.New(consumer.Config{Kafka: []kgo.Opt{kgo.SeedBrokers(brokers...)}, Queues: []consumer.Queue{{Name: queue}}, Mux: mux})
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	<-ctx.Done()
	b.StopTimer()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	if got := n.Load(); got != int64(b.N) {
		b.Fatalf("%d tasks ran, want %d", got, b.N)
	}
}

// fill makes the queue and publishes n tasks.
func fill(b *testing.B, brokers []string, queue string, n int) {
	b.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.MaxBufferedRecords(100_000), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	created, err := kadm.NewClient(cl).CreateTopics(b.Context(), 24, 1, nil, names.Pending(queue), names.Dead(queue))
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		b.Fatal(err)
	}
	for range n {
		t := send.New(mail{To: "somebody.with.a.name@example.com", Subject: "the subject of this mail", Count: 12345678})
		cl.Produce(b.Context(), record.Encode(t, names.Pending(queue)), func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := cl.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}
