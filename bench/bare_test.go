package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/twmb/franz-go/pkg/kgo"
)

// bare is the loop that one writes by hand with franz-go: poll, decode, handle, mark; the client commits the marks in the
// background. It does one task after the other, knows no failure, and repeats what it had not committed.
type bare struct {
	queue
	consumer, producer *kgo.Client
}

func openBare(b *testing.B, _ *servers) system { return newBare(b) }

func newBare(b *testing.B) bare {
	b.Helper()
	s := bare{queue: openQueue(b)}
	s.consumer = s.client(b, kgo.ConsumerGroup(s.name), kgo.ConsumeTopics(names.Pending(s.name)),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.AutoCommitMarks(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	s.producer = s.client(b, kgo.ProducerLinger(0))
	b.Cleanup(func() {
		s.consumer.Close()
		s.producer.Close()
	})
	return s
}

func (s bare) send(ctx context.Context, m mail) error {
	return s.producer.ProduceSync(ctx, s.record(m)).FirstErr()
}

func (s bare) run(ctx context.Context, handle func(mail)) error {
	return s.poll(ctx, 10_000, func(records []*kgo.Record) error {
		for _, r := range records {
			if err := decode(r, handle); err != nil {
				return err
			}
			s.consumer.MarkCommitRecords(r)
		}
		return nil
	})
}

// poll hands all that comes to do until ctx ends.
func (s bare) poll(ctx context.Context, atMost int, do func([]*kgo.Record) error) error {
	for {
		fetches := s.consumer.PollRecords(ctx, atMost)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end that was asked for
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		if err := do(fetches.Records()); err != nil {
			return err
		}
	}
}

func decode(r *kgo.Record, handle func(mail)) error {
	var m mail
	if err := json.Unmarshal(r.Value, &m); err != nil {
		return fmt.Errorf("decode offset %d: %w", r.Offset, err)
	}
	handle(m)
	return nil
}
