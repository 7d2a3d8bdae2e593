package storm

import (
	"context"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/test/history"
	"github.com/twmb/franz-go/pkg/kadm"
)

// groups are those whose offsets count, each with its topics.
func groups(prefix string) map[string][]string {
	return map[string][]string{
		names.Group(prefix, plainQueue):   {names.Pending(plainQueue)},
		names.Group(prefix, orderedQueue): {names.Pending(orderedQueue)},
		names.RetryGroup(prefix):          {names.RetryMinute(prefix), names.RetryHour(prefix)},
	}
}

const (
	observeEvery    = 250 * time.Millisecond
	observePatience = 2 * time.Second
)

// observeOffsets writes down the committed offsets whenever they have changed, until ctx ends.
func observeOffsets(ctx context.Context, adm *kadm.Client, prefix string, events *history.Writer) error {
	type place struct {
		group, topic string
		partition    int32
	}
	seen := make(map[place]int64)
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for group := range groups(prefix) {
			asking, cancel := context.WithTimeout(ctx, observePatience)
			offsets, err := adm.FetchOffsets(asking, group)
			cancel()
			if err != nil {
				continue // Kafka is away now and then
			}
			for topic, of := range offsets {
				for partition, o := range of {
					at := place{group, topic, partition}
					last, known := seen[at]
					if o.Err != nil || o.At < 0 || known && last == o.At {
						continue
					}
					seen[at] = o.At
					if err := events.Write(history.Event{Kind: history.Committed, Group: group, Topic: topic, Partition: partition, Offset: o.At}); err != nil {
						return fmt.Errorf("observe offsets: %w", err)
					}
				}
			}
		}
	}
}
