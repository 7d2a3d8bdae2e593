package bench

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/rcrowley/go-metrics"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Watermill on Kafka: a subscriber reads every partition in a goroutine of its own, which hands on one message and waits for
// its ack before the next. So it handles as many at once as there are partitions, 24 here, and no setting raises that. Acks
// mark offsets, which are committed once a second. It knows no retry that outlives the process, no delay and no idempotency.
//
// Its settings are its defaults: larger buffers and fetches made it slower, as did compression and lingering when
// publishing. Only the metrics that its client keeps are off, which nobody here reads.
type watermillSide struct {
	queue
	publisher *kafka.Publisher
	// router is whether messages go through Watermill's router, the usual way, which starts a goroutine for each one.
	// Otherwise one loop takes them from the subscriber's channel, which is the fastest where handlers do nothing.
	router bool
}

func init() { metrics.UseNilMetrics = true } // there is no other way

func openWatermill(router bool) func(*testing.B, *servers) system {
	return func(b *testing.B, _ *servers) system {
		q := openQueue(b)
		return watermillSide{queue: q, publisher: newWatermillPublisher(b, q), router: router}
	}
}

func newWatermillPublisher(b *testing.B, q queue) *kafka.Publisher {
	b.Helper()
	p, err := kafka.NewPublisher(kafka.PublisherConfig{Brokers: q.brokers}, watermill.NopLogger{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.Error(err)
		}
	})
	return p
}

func (s watermillSide) subscriber(topic string) (*kafka.Subscriber, error) {
	cfg := kafka.DefaultSaramaSubscriberConfig()
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	return kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers: s.brokers, ConsumerGroup: topic, OverwriteSaramaConfig: cfg,
	}, watermill.NopLogger{})
}

func (s watermillSide) fill(b *testing.B, n int) {
	b.Helper()
	s.fillTopic(b, names.Pending(s.name), n)
}

// fillTopic writes messages as Watermill does, by way of the client that fills the others' queues.
func (s watermillSide) fillTopic(b *testing.B, topic string, n int) {
	b.Helper()
	cl := s.client(b, kgo.MaxBufferedRecords(100_000), kgo.ProducerLinger(5*time.Millisecond))
	defer cl.Close()
	for i := range n {
		cl.Produce(b.Context(), &kgo.Record{
			Topic: topic, Value: newMail(i).encoded(),
			Headers: []kgo.RecordHeader{{Key: kafka.UUIDHeaderKey, Value: []byte(watermill.NewUUID())}},
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := cl.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func (s watermillSide) send(_ context.Context, m mail) error {
	return s.publisher.Publish(names.Pending(s.name), message.NewMessage(watermill.NewUUID(), m.encoded()))
}

func (s watermillSide) run(ctx context.Context, handle func(mail)) (err error) {
	from, err := s.subscriber(names.Pending(s.name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	work := func(msg *message.Message) error {
		var m mail
		if err := json.Unmarshal(msg.Payload, &m); err != nil {
			return err
		}
		handle(m)
		return nil
	}
	if s.router {
		router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
		if err != nil {
			return err
		}
		router.AddConsumerHandler("mail", names.Pending(s.name), from, work)
		return router.Run(ctx)
	}
	messages, err := from.Subscribe(ctx, names.Pending(s.name))
	if err != nil {
		return err
	}
	for msg := range messages {
		if err := work(msg); err != nil {
			return err
		}
		msg.Ack()
	}
	return nil
}
