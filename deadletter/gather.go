package deadletter

import (
	"context"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// maxLot bounds the bytes of the letters that are read together, but for a single one that is larger, and maxLetters
	// their number. While one lot is handed out, the next is read.
	maxLot     = 8 << 20
	maxLetters = 10_000

	// near is how many offsets may lie between two letters that are fetched at once: what is between them is read and
	// thrown away, which is cheaper than to ask again.
	near = 128

	// maxKept bounds what the partitions keep of their last fetches, but for what a fetch needs at least.
	maxKept  = 8 << 20
	minFetch = 64 << 10
)

// each reads the letters that lie in places and hands them out in that order. Places are worked off in lots, whose letters
// are read in the order of their offsets: mostly letters lie in the order of their deaths, so lots follow each other in
// each partition; where they do not, no more memory is needed, only more reading.
func (src *source) each(ctx context.Context, places []place, yield func(*Letter, error) bool) {
	ctx, cancel := context.WithCancel(ctx)
	g := gathering{src: src, cursors: make(map[int32]*cursor)}
	type result struct {
		letters []*Letter
		err     error
	}
	ready := make(chan result)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(ready)
		for len(places) > 0 {
			lot := firstLot(places)
			places = places[len(lot):]
			letters, err := g.gather(ctx, lot)
			select {
			case ready <- result{letters, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	})
	defer reading.Wait()
	defer cancel()
	for {
		select {
		case r, more := <-ready:
			if !more {
				if err := ctx.Err(); err != nil {
					yield(nil, err)
				}
				return
			}
			if r.err != nil {
				yield(nil, r.err)
				return
			}
			for _, l := range r.letters {
				if !yield(l, nil) {
					return
				}
			}
		case <-ctx.Done():
			yield(nil, ctx.Err())
			return
		}
	}
}

// firstLot is the part of places that is read first.
func firstLot(places []place) []place {
	n, bytes := 0, 0
	for n < len(places) && n < maxLetters && (n == 0 || bytes+int(places[n].size) <= maxLot) {
		bytes += int(places[n].size)
		n++
	}
	return places[:n]
}

// A gathering reads letters lot by lot.
type gathering struct {
	src     *source
	cursors map[int32]*cursor // of partitions that were read; they keep what the next lot may want
}

// gather reads the letters of a lot, in its order. Those that are not there any more are left out.
func (g *gathering) gather(ctx context.Context, lot []place) ([]*Letter, error) {
	order := make(map[int32][]int) // by partition: which of the lot, in the order of their offsets
	for i, p := range lot {
		order[p.partition] = append(order[p.partition], i)
	}
	var spans []span
	for partition, which := range order {
		slices.SortFunc(which, func(a, b int) int { return int(min(max(lot[a].offset-lot[b].offset, -1), 1)) })
		spans = append(spans, span{partition: partition})
		if g.cursors[partition] == nil {
			g.cursors[partition] = newCursor(g.src, partition)
		}
	}
	maxBytes := min(max(maxKept/len(g.cursors), minFetch), maxFetch)
	letters := make([]*Letter, len(lot))
	err := parallel(ctx, spans, func(ctx context.Context, sp span) error {
		return g.src.collect(ctx, g.cursors[sp.partition], lot, order[sp.partition], maxBytes, letters)
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(letters, func(l *Letter) bool { return l == nil }), nil
}

// collect reads the letters of one partition: those of the lot that are named, in the order of their offsets.
func (src *source) collect(ctx context.Context, cur *cursor, lot []place, which []int, maxBytes int, letters []*Letter) error {
	end := lot[which[len(which)-1]].offset + 1
	for len(which) > 0 {
		next, err := cur.read(ctx, lot[which[0]].offset, end, run(lot, which, maxBytes), func(r *kgo.Record) {
			for len(which) > 0 && lot[which[0]].offset < r.Offset {
				which = which[1:] // compacted away since
			}
			if len(which) > 0 && lot[which[0]].offset == r.Offset {
				l := &Letter{}
				l.read(src.queue, own(r))
				letters[which[0]] = l
				which = which[1:]
			}
		})
		if err != nil {
			return err
		}
		for len(which) > 0 && lot[which[0]].offset < next {
			which = which[1:]
		}
	}
	return nil
}

// run is how many bytes to ask for to get the letters that lie near each other.
func run(lot []place, which []int, maxBytes int) int {
	bytes := 4 << 10 // batches have heads
	for i, k := range which {
		if i > 0 && lot[k].offset-lot[which[i-1]].offset > near || bytes > maxBytes {
			break
		}
		gap := int64(1)
		if i > 0 {
			gap = lot[k].offset - lot[which[i-1]].offset
		}
		// What is between them is taken to be like them.
		bytes += int(gap) * (int(lot[k].size) + 64)
	}
	return min(bytes, maxBytes)
}
