package bench

import (
	"context"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/producer"
	"github.com/twmb/franz-go/pkg/kgo"
)

// tasktier is a producer and a consumer, both at their default settings but for what configure changes.
type tasktier struct {
	queue
	producer  *producer.Producer
	configure func(*consumer.Config)
}

// openTasktier is without claims.
func openTasktier(b *testing.B, _ *servers) system {
	return newTasktier(b, openQueue(b), func(*consumer.Config) {})
}

func newTasktier(b *testing.B, q queue, configure func(*consumer.Config)) tasktier {
	b.Helper()
	p, err := producer.New(producer.Config{Brokers: q.brokers, Queue: q.name})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			b.Error(err)
		}
	})
	return tasktier{queue: q, producer: p, configure: configure}
}

func (s tasktier) send(ctx context.Context, m mail) error { return s.producer.Send(ctx, email.New(m)) }

func (s tasktier) run(ctx context.Context, handle func(mail)) error {
	return s.serve(ctx, func(_ context.Context, m mail) error {
		handle(m)
		return nil
	})
}

func (s tasktier) serve(ctx context.Context, handler func(context.Context, mail) error) error {
	mux := consumer.NewMux()
	if err := consumer.Handle(mux, email, handler); err != nil {
		return err
	}
	cfg := consumer.Config{
		Kafka:  []kgo.Opt{kgo.SeedBrokers(s.brokers...)},
		Queues: []consumer.Queue{{Name: s.name}},
		Mux:    mux,
	}
	s.configure(&cfg)
	c, err := consumer.New(cfg)
	if err != nil {
		return err
	}
	return c.Run(ctx)
}
