package storm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/test/history"
)

// beProducer sends its tasks at their times, and some of those of the producer before it once more. When it is told to stop
// it sends no more, and waits for what is on its way. One that is started again goes on with the present.
func beProducer(o orders) error {
	ctx, stop := untilStopped()
	defer stop()
	cfg, err := o.config()
	if err != nil {
		return err
	}
	events, err := o.log()
	if err != nil {
		return err
	}
	defer events.Close()
	p, err := producer.New(producer.Config{Brokers: cfg.Kafka.Brokers, Prefix: cfg.Kafka.Prefix, Queue: plainQueue, Source: source})
	if err != nil {
		return err
	}
	s := &sender{events: events, producer: p}
	before := (o.Index + o.Load.Producers - 1) % o.Load.Producers
	walks := []walk{{producer: o.Index}}
	for _, lag := range againLags {
		walks = append(walks, walk{producer: before, lag: lag, only: func(a assignment) bool { return a.again == lag }})
	}
	err = o.Load.walk(ctx, walks, func(w walk, a assignment) error { return s.send(ctx, a) })
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if gaveUp := p.Close(closing); gaveUp != nil {
		fmt.Fprintln(os.Stderr, gaveUp) // their outcome is not known, which the history says
	}
	return errors.Join(err, s.failed())
}

type sender struct {
	events   *history.Writer
	producer *producer.Producer

	mu  sync.Mutex
	err error // what could not be written down
}

func (s *sender) send(ctx context.Context, a assignment) error {
	t, hash, err := a.task()
	if err != nil {
		return err
	}
	if err := s.events.Write(history.Event{Kind: history.Sent, Task: a.name(), Hash: hash, Plan: &a.plan}); err != nil {
		return err
	}
	// It is sent for as long as the producer lives: it blocks while Kafka is away and the buffer is full.
	s.producer.SendAsync(context.WithoutCancel(ctx), t, func(_ producer.Receipt, err error) {
		if err != nil {
			fmt.Fprintf(os.Stderr, "send %s: %v\n", a.id, err)
			return
		}
		s.note(s.events.Write(history.Event{Kind: history.Acknowledged, Task: a.name()}))
	})
	return s.failed()
}

func (s *sender) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errors.Join(s.err, err)
}

func (s *sender) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
