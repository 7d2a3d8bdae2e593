package deadletter

import (
	"cmp"
	"context"
	"fmt"
	"sync"
)

// A PurgeResult says what became of the letters that were to go.
type PurgeResult struct {
	// Matched were to go, Purged are gone, and Failed may be there still: purge again.
	Matched, Purged, Failed int64
}

// WithPurged has f told how many letters are gone of those that matched. Only [Store.Purge] calls it, from one goroutine
// at a time.
func WithPurged(f func(purged, matched int64)) ReadOption {
	return func(r *reading) { r.purged = f }
}

// Purge takes the letters of a queue that match away, for good: it writes their tombstones, and Kafka deletes them with the
// next compaction. It returns when all in-sync replicas have them. With an error, some are still there; the result says
// how far it came, and purging again takes the others.
func (s *Store) Purge(ctx context.Context, queue string, f Filter, opts ...ReadOption) (PurgeResult, error) {
	src, places, err := s.find(ctx, queue, f, opts)
	if err != nil {
		return PurgeResult{}, err
	}
	var (
		mu      sync.Mutex
		pending sync.WaitGroup
		result  = PurgeResult{Matched: int64(len(places))}
		failed  error
		told    = readingOf(opts).purged
	)
	settle := func(err error) {
		defer pending.Done()
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed = cmp.Or(failed, err)
			return
		}
		if result.Purged++; told != nil {
			told(result.Purged, result.Matched)
		}
	}
	var broken error
	seen := int64(0)
	src.each(ctx, places, func(l *Letter, err error) bool {
		if err != nil {
			broken = err
			return false
		}
		seen++
		pending.Add(1)
		s.takeAway(ctx, l, settle)
		mu.Lock()
		defer mu.Unlock()
		return failed == nil // where one fails, more will
	})
	pending.Wait()
	if broken == nil && failed == nil {
		result.Matched = seen // the others were replaced or taken away meanwhile
		return result, nil
	}
	result.Failed = result.Matched - result.Purged
	switch {
	case broken != nil:
		return result, broken
	case ctx.Err() != nil:
		return result, ctx.Err()
	}
	return result, fmt.Errorf("take dead letters away from topic %s: %w", src.topic, failed)
}
