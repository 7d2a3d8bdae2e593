package deadletter

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A digest stands for a letter's key. It is 128 bits of a hash with a secret seed, so no two keys share one, by chance or
// on purpose.
type digest struct{ a, b uint64 }

type hasher struct{ a, b maphash.Seed }

func newHasher() hasher { return hasher{maphash.MakeSeed(), maphash.MakeSeed()} }

func (h hasher) digest(key []byte) digest {
	return digest{maphash.Bytes(h.a, key), maphash.Bytes(h.b, key)}
}

// A judge looks at the letters of one partition, in the order of their offsets, and says what to note of each. The letter
// is only lent.
type judge[V any] func(*Letter) (note V, wanted bool)

// scan reads a topic once and returns, for each partition, a note for each key whose newest state is a letter that is
// wanted. All records of a key are in one partition. What is kept meanwhile is a digest and a note for each such key, and
// nothing for the others: a letter that is not wanted, and a tombstone, forget what was noted of their key.
func scan[V any](ctx context.Context, src *source, spans []span, opts []ReadOption, judges func(partition int32) judge[V]) (map[int32]map[digest]V, error) {
	var (
		mu    sync.Mutex
		notes = make(map[int32]map[digest]V, len(spans))
		hash  = newHasher()
		bar   = newMeter(spans, opts)
	)
	err := parallel(ctx, spans, func(ctx context.Context, sp span) error {
		found, judge := make(map[digest]V), judges(sp.partition)
		var l Letter
		cur := newCursor(src, sp.partition)
		for at := sp.start; at < sp.end; {
			next, err := cur.read(ctx, at, sp.end, maxFetch, func(r *kgo.Record) {
				note(found, hash, src.queue, r, &l, judge)
			})
			if err != nil {
				return err
			}
			bar.add(next - at)
			at = next
		}
		mu.Lock()
		defer mu.Unlock()
		notes[sp.partition] = found
		return nil
	})
	if err != nil {
		return nil, err
	}
	return notes, nil
}

func note[V any](found map[digest]V, hash hasher, queue string, r *kgo.Record, l *Letter, judge judge[V]) {
	key := hash.digest(r.Key)
	if tombstone(r) {
		delete(found, key)
		return
	}
	l.read(queue, r)
	if v, wanted := judge(l); wanted {
		found[key] = v
	} else {
		delete(found, key)
	}
}

// parallel does something for each span, a few at a time. The first error ends the others and is returned.
func parallel(ctx context.Context, spans []span, do func(context.Context, span) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		running sync.WaitGroup
		next    = make(chan span)
	)
	for range min(readers, len(spans)) {
		running.Go(func() {
			for sp := range next {
				if err := do(ctx, sp); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
feed:
	for _, sp := range spans {
		select {
		case next <- sp:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	running.Wait()
	return context.Cause(ctx)
}

// A meter tells how far a reading is.
type meter struct {
	mu          sync.Mutex
	read, total int64
	told        func(read, total int64) // nil: nobody
}

func newMeter(spans []span, opts []ReadOption) *meter {
	m := &meter{told: readingOf(opts).progress}
	for _, sp := range spans {
		m.total += sp.end - sp.start
	}
	return m
}

func (m *meter) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.read += n; m.told != nil {
		m.told(m.read, m.total)
	}
}
