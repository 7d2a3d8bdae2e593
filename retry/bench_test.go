package retry

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// bench prepares real Kafka and returns a client for the topics of a queue "q".
func bench(b *testing.B) (kafka kgo.Opt, prefix, queue string, cl *kgo.Client) {
	b.Helper()
	kafka, prefix = kgo.SeedBrokers(testenv.Kafka(b)...), testenv.Unique(b)
	queue = prefix + ".q"
	cl, err := kgo.NewClient(append(OutOptions([]kgo.Opt{kafka}, prefix, 1<<20), kgo.MaxBufferedRecords(50_000))...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(cl.Close)
	for topic, n := range map[string]int32{
		names.Pending(queue): 4, names.RetryMinute(prefix): tier.Minute.Partitions, names.RetryHour(prefix): tier.Hour.Partitions,
	} {
		if _, err := kadm.NewClient(cl).CreateTopic(context.Background(), n, 1, nil, topic); err != nil {
			b.Fatal(err)
		}
	}
	return kafka, prefix, queue, cl
}

func forward(b *testing.B, kafka kgo.Opt, prefix, queue string) *Forwarder {
	b.Helper()
	f, err := New(Config{Kafka: []kgo.Opt{kafka}, Prefix: prefix, Fallback: queue})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return f
}

// BenchmarkForward brings back b.N tasks of one slot that are due at one moment, with 95 bytes of payload.
func BenchmarkForward(b *testing.B) {
	kafka, prefix, queue, cl := bench(b)
	due := time.Now().Add(3*time.Second + time.Duration(b.N)*40*time.Microsecond) // all must be written by then
	w := NewWriter(cl, prefix, zap.NewNop())
	payload := make([]byte, 95)
	for range b.N {
		r := record.Encode(task.New("t", payload, task.Source("/bench")), "")
		w.Write(context.Background(), Wait{Queue: queue, Record: r, Due: due, Turn: 1, Attempt: 1}, func(err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	w.Close()
	f := forward(b, kafka, prefix, queue)
	time.Sleep(time.Until(due))
	b.ReportAllocs()
	b.ResetTimer()
	acknowledged := func() bool {
		flying := int64(0)
		f.do(func() { flying = f.flying })
		return flying == 0 && f.Stats().Forwarded >= uint64(b.N)
	}
	for !acknowledged() {
		time.Sleep(200 * time.Microsecond)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "forwards/s")
	b.ReportMetric(float64(f.Stats().Reread), "reread")
}

// BenchmarkLateness shows how late tasks with random delays of 50 ms to 10 s are in their queue; b.N of them, 20,000 at most.
func BenchmarkLateness(b *testing.B) {
	kafka, prefix, queue, cl := bench(b)
	f := forward(b, kafka, prefix, queue)
	reader, err := kgo.NewClient(kafka, kgo.ConsumeTopics(names.Pending(queue)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(reader.Close)
	(&running{Forwarder: f, t: b}).ready(all)
	n := min(b.N, 20_000)
	w := NewWriter(cl, prefix, zap.NewNop())
	dues := make(map[string]time.Time, n)
	for range n {
		t := task.New("t", make([]byte, 95), task.Source("/bench"))
		due := time.Now().Add(50*time.Millisecond + rand.N(10*time.Second)).Truncate(time.Millisecond)
		dues[t.ID] = due
		w.Write(context.Background(), Wait{Queue: queue, Record: record.Encode(t, ""), Due: due, Turn: 1, Attempt: 1}, func(error) {})
	}
	var late []time.Duration
	early := 0
	for len(late) < n {
		records := reader.PollFetches(context.Background()).Records()
		now := time.Now()
		for _, r := range records {
			var t task.Task
			if err := record.Decode(r, &t); err != nil {
				b.Fatal(err)
			}
			d := now.Sub(dues[t.ID])
			if d < 0 {
				early++
			}
			late = append(late, d)
		}
	}
	w.Close()
	slices.Sort(late)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(late[n/2]), "p50-ms")
	b.ReportMetric(ms(late[n*99/100]), "p99-ms")
	b.ReportMetric(ms(late[n-1]), "max-ms")
	b.ReportMetric(float64(early), "early")
}
