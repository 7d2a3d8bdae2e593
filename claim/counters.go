package claim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Count is how many tasks of a type had an outcome in a minute.
type Count struct {
	Minute time.Time `json:"minute"` // its start
	Queue  string    `json:"queue"`
	Type   string    `json:"type"`
	// Outcome is "succeeded", "dead", "canceled", "retrying" for an attempt that failed and will be repeated, or "snoozed".
	Outcome string `json:"outcome"`
	Tasks   int64  `json:"tasks"`
}

// Counts returns what was counted since that long ago, by minute, queue, type and outcome, in this order. The minute under
// way is the last one. Minutes are kept for a day.
func (s *Store) Counts(ctx context.Context, since time.Duration) ([]Count, error) {
	now := time.Now()
	last := now.Unix() / 60
	first := now.Add(-min(max(since, 0), countersKept)).Unix() / 60
	sums := make(map[countedIn]int64)
	for ; first <= last; first += minutesAtOnce {
		if err := s.sum(ctx, first, min(first+minutesAtOnce-1, last), sums); err != nil {
			return nil, err
		}
	}
	counts := make([]Count, 0, len(sums))
	for in, n := range sums {
		part := strings.SplitN(in.field, "\x00", 3)
		if len(part) == 3 {
			counts = append(counts, Count{time.Unix(in.minute*60, 0), part[0], part[1], part[2], n})
		}
	}
	slices.SortFunc(counts, func(a, b Count) int {
		return cmp.Or(a.Minute.Compare(b.Minute), cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Outcome, b.Outcome))
	})
	return counts, nil
}

// minutesAtOnce is how many minutes are read in one pipeline.
const minutesAtOnce = 30

type countedIn struct {
	minute int64
	field  string
}

// sum adds the counters of minutes, from and to included. Each bucket counts for itself.
func (s *Store) sum(ctx context.Context, from, to int64, sums map[countedIn]int64) error {
	pipe := s.client.Pipeline()
	type hash struct {
		minute int64
		fields *redis.MapStringStringCmd
	}
	var hashes []hash
	for minute := from; minute <= to; minute++ {
		for bucket := range buckets {
			hashes = append(hashes, hash{minute, pipe.HGetAll(ctx, s.countersKey(bucket, minute))})
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("read counters: %w", err)
	}
	for _, h := range hashes {
		for field, text := range h.fields.Val() {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return fmt.Errorf("read counter %q: %w", field, err)
			}
			sums[countedIn{h.minute, field}] += n
		}
	}
	return nil
}
