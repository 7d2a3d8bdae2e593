package bench

import (
	"errors"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/twmb/franz-go/pkg/kadm"
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
	adm := kadm.NewClient(cl)
	created, err := adm.CreateTopics(b.Context(), 24, 1, nil, names.Pending(q.name), names.Dead(q.name))
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		b.Fatal(err)
	}
	// For some ms a broker does not know all partitions of a new topic. A consumer that comes then asks for them again after
	// a second and, if nothing else happens, fetches them when its first fetch has timed out.
	for {
		offsets, err := adm.ListEndOffsets(b.Context(), names.Pending(q.name))
		if err == nil && offsets.Error() == nil && len(offsets[names.Pending(q.name)]) == 24 {
			return q
		}
		select {
		case <-b.Context().Done():
			b.Fatal(errors.Join(b.Context().Err(), err, offsets.Error()))
		case <-time.After(10 * time.Millisecond):
		}
	}
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
