package deadletter

import (
	"context"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/twmb/franz-go/pkg/kgo"
)

// takeAway writes the tombstone of a letter and calls done exactly once, with nil when all in-sync replicas have it. It
// returns at once unless the client's buffer is full; done must not block.
//
// The tombstone goes to the letter's own partition, whatever its key hashes to: partitions may have been added since. It
// takes away what has the letter's key: a task that was replayed and died again has another one.
func (s *Store) takeAway(ctx context.Context, l *Letter, done func(error)) {
	s.client.Produce(ctx, &kgo.Record{Topic: names.Dead(l.Queue), Key: l.Key, Context: tier.Home(l.Partition)}, func(_ *kgo.Record, err error) {
		done(err)
	})
}
