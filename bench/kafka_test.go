package bench

import (
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/twmb/franz-go/pkg/kgo"
)

// queue is a queue of 24 partitions on Kafka.
type queue struct {
	brokers []string
	name    string
}

func openQueue(b *testing.B) queue {
	b.Helper()
	q := queue{brokers: testenv.Kafka(b), name: testenv.Unique(b)}
	cl := q.client(b)
	defer cl.Close()
	// A consumer that comes before the broker knows all partitions asks for them again after a second and, if nothing else
	// happens, fetches them when its first fetch has timed out.
	testenv.CreateTopics(b, cl, 24, nil, names.Pending(q.name), names.Dead(q.name))
	return q
}

// client is a Kafka client with options; the caller closes it.
func (q queue) client(b *testing.B, options ...kgo.Opt) *kgo.Client {
	b.Helper()
	cl, err := kgo.NewClient(append(options, kgo.SeedBrokers(q.brokers...))...)
	if err != nil {
		b.Fatal(err)
	}
	return cl
}

func (q queue) fill(b *testing.B, n int) {
	b.Helper()
	cl := q.client(b, kgo.MaxBufferedRecords(100_000), kgo.ProducerLinger(5*time.Millisecond))
	defer cl.Close()
	for i := range n {
		cl.Produce(b.Context(), q.record(newMail(i)), func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := cl.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func (q queue) record(m mail) *kgo.Record { return record.Encode(email.New(m), names.Pending(q.name)) }
