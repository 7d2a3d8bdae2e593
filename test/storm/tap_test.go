package storm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/test/history"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A tap writes down every record of the installation soon after it was written: nodes delete what was forwarded from the
// tiers, and Kafka compacts letters.
type tap struct {
	client *kgo.Client
	adm    *kadm.Client
	queues map[string]string // of the topics; "" for the tiers, whose records say so themselves
	events *history.Writer

	mu   sync.Mutex
	read map[string]map[int32]int64 // up to where
	err  error

	stop    context.CancelFunc
	running sync.WaitGroup
}

// openTap begins to read. The topics have to be there. The caller closes it.
func openTap(brokers []string, prefix string, events *history.Writer) (*tap, error) {
	t := &tap{
		queues: map[string]string{
			names.Pending(plainQueue): plainQueue, names.Dead(plainQueue): plainQueue,
			names.Pending(orderedQueue): orderedQueue, names.Dead(orderedQueue): orderedQueue,
			names.RetryMinute(prefix): "", names.RetryHour(prefix): "",
		},
		events: events, read: make(map[string]map[int32]int64),
	}
	var topics []string
	for topic := range t.queues {
		topics = append(topics, topic)
		t.read[topic] = make(map[int32]int64)
	}
	var err error
	if t.client, err = kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topics...),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(time.Second)); err != nil {
		return nil, err
	}
	t.adm = kadm.NewClient(t.client)
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	t.running.Go(func() { t.run(ctx) })
	return t, nil
}

func (t *tap) run(ctx context.Context) {
	for {
		fetches := t.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		t.take(fetches)
	}
}

func (t *tap) take(fetches kgo.Fetches) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fetches.EachError(func(topic string, partition int32, err error) {
		// What passes is tried again by the client.
		t.err = errors.Join(t.err, fmt.Errorf("read %s/%d: %w", topic, partition, err))
	})
	fetches.EachRecord(func(r *kgo.Record) {
		if err := t.events.Write(recordEvent(r, t.queues[r.Topic])); err != nil {
			t.err = errors.Join(t.err, err)
		}
		t.read[r.Topic][r.Partition] = r.Offset + 1
	})
}

// finish returns when all is written down that lies in Kafka now.
func (t *tap) finish(ctx context.Context) error {
	ends, err := t.adm.ListEndOffsets(ctx, t.client.GetConsumeTopics()...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("collect records: %w", err)
	}
	for !t.up(ends) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("collect records: they are not all read: %w", errors.Join(t.err, context.Cause(ctx)))
		case <-time.After(50 * time.Millisecond):
		}
	}
	for topic := range t.queues {
		if err := t.events.Write(history.Event{Kind: history.Collected, Name: topic}); err != nil {
			return err
		}
	}
	return nil
}

// up says whether all is read up to the ends.
func (t *tap) up(ends kadm.ListedOffsets) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := true
	ends.Each(func(o kadm.ListedOffset) { all = all && t.read[o.Topic][o.Partition] >= o.Offset })
	return all
}

// close ends it, and says what went wrong.
func (t *tap) close() error {
	t.stop()
	t.running.Wait()
	t.client.Close()
	return t.err
}
