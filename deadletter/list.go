package deadletter

import (
	"cmp"
	"context"
	"iter"
	"slices"
)

// A ReadOption changes how letters are read.
type ReadOption func(*reading)

type reading struct {
	progress, purged func(done, total int64)
}

func readingOf(opts []ReadOption) (r reading) {
	for _, o := range opts {
		o(&r)
	}
	return r
}

// WithProgress has f told how far the reading of the topic is, in records of which some may be compacted away: read grows
// up to total. It is called from one goroutine at a time, a few times for each megabyte.
func WithProgress(f func(read, total int64)) ReadOption {
	return func(r *reading) { r.progress = f }
}

// A place is where a letter lies that is wanted.
type place struct {
	died      int64 // Unix milliseconds
	offset    int64
	partition int32
	size      uint32
}

// List yields the letters of a queue that match, each in its newest state, the oldest death first. It ends at the end that
// the topic had when it began; letters that are replaced or taken away while it runs may be left out.
//
// The topic is read once to find out which letters match, and where they matched then once more; what is kept in memory is
// some 60 bytes for each match, and a few megabytes of letters. With an error, which wraps [ErrNoTopic] where the queue has
// no such topic, the letter is nil and nothing follows.
func (s *Store) List(ctx context.Context, queue string, f Filter, opts ...ReadOption) iter.Seq2[*Letter, error] {
	return func(yield func(*Letter, error) bool) {
		src, places, err := s.find(ctx, queue, f, opts)
		if err != nil {
			yield(nil, err)
			return
		}
		src.each(ctx, places, yield)
	}
}

// find says where the letters lie that match, in the order of their deaths.
func (s *Store) find(ctx context.Context, queue string, f Filter, opts []ReadOption) (*source, []place, error) {
	src, spans, err := s.open(ctx, queue)
	if err != nil {
		return nil, nil, err
	}
	notes, err := scan(ctx, src, spans, opts, func(partition int32) judge[place] {
		return func(l *Letter) (place, bool) {
			if !f.Match(l) {
				return place{}, false
			}
			return place{l.Died.UnixMilli(), l.Offset, partition, uint32(l.Bytes())}, true
		}
	})
	if err != nil {
		return nil, nil, err
	}
	n := 0
	for _, found := range notes {
		n += len(found)
	}
	places := make([]place, 0, n)
	for partition, found := range notes {
		for _, p := range found {
			places = append(places, p)
		}
		delete(notes, partition) // its memory is needed no more
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.died, b.died), cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset))
	})
	if f.Limit > 0 && len(places) > f.Limit {
		places = slices.Clone(places[:f.Limit])
	}
	return src, places, nil
}
