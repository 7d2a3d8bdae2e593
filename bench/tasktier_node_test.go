package bench

import (
	"context"
	"testing"
	"time"

	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"

	root "github.com/tasktier/tasktier"
)

// node is a whole node, with claims, and a producer.
type node struct {
	tasktier
	cfg  config.Config
	also func(*consumer.Mux) error // adds handlers; may be nil
}

func openTasktierNode(b *testing.B, _ *servers) system {
	q := queue{brokers: testenv.Kafka(b), name: testenv.Unique(b)}
	s := node{tasktier: tasktier{queue: q}, cfg: config.Default()}
	s.cfg.Kafka.Brokers, s.cfg.Kafka.Prefix = q.brokers, q.name
	s.cfg.Redis.Addresses, s.cfg.Etcd.Endpoints, s.cfg.Etcd.Prefix = []string{testenv.Redis(b)}, testenv.Etcd(b), "/"+q.name
	s.cfg.Node.HTTP = ""
	s.cfg.Queues = map[string]config.Queue{q.name: config.DefaultQueue()}
	var err error
	if s.producer, err = producer.New(producer.Config{Brokers: q.brokers, Queue: q.name, Prefix: q.name}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.producer.Close(ctx); err != nil {
			b.Error(err)
		}
	})
	return s
}

func (s node) sendAt(ctx context.Context, m mail, at time.Time) error {
	return s.producer.Send(ctx, email.New(m, task.At(at)))
}

func (s node) run(ctx context.Context, handle func(mail)) error {
	mux := consumer.NewMux()
	if err := consumer.Handle(mux, email, func(_ context.Context, m mail) error {
		handle(m)
		return nil
	}); err != nil {
		return err
	}
	if s.also != nil {
		if err := s.also(mux); err != nil {
			return err
		}
	}
	return root.Run(ctx, s.cfg, mux)
}
