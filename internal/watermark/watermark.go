// Package watermark tracks which records of a partition are finished, and so up to where an offset may be committed and
// what is finished above that.
package watermark

import (
	"iter"
	"sort"
)

// A Tracker knows which records of one partition are finished, and so the watermark: the offset below which all are.
// Records are added in the order of their offsets; between two of them the log may have gaps (compaction, transaction
// markers), which count as finished. Each record gets a place, by which it is finished in any order. Until then the
// tracker keeps an item for it.
//
// The places lie in a ring that grows to the span between the oldest unfinished record and the newest one, 16 bytes and
// an item each, and never shrinks below what it needed once. All operations but the iterators take constant amortized
// time. The zero value is ready for use; it is not safe for concurrent use.
type Tracker[T any] struct {
	ring []entry[T] // its length is a power of two
	head uint64     // place of the oldest unfinished record
	top  uint64     // place behind the newest finished record, or head
	tail uint64     // place that the next record gets
	next int64      // offset behind the newest record
}

type entry[T any] struct {
	item   T // zero once done
	offset int64
	done   bool
}

// Add gives the record at offset its place, and keeps item for it. It refuses an offset that is not behind all earlier
// ones: the log was truncated or re-created, and what this tracker knows is void.
func (t *Tracker[T]) Add(offset int64, item T) (place uint64, ok bool) {
	if t.tail > 0 && offset < t.next {
		return 0, false
	}
	if t.tail-t.head == uint64(len(t.ring)) {
		t.grow()
	}
	place = t.tail
	*t.at(place) = entry[T]{item: item, offset: offset}
	t.tail++
	t.next = offset + 1
	return place, true
}

func (t *Tracker[T]) at(place uint64) *entry[T] { return &t.ring[place&uint64(len(t.ring)-1)] }

func (t *Tracker[T]) grow() {
	ring := make([]entry[T], max(64, 2*len(t.ring)))
	for p := t.head; p < t.tail; p++ {
		ring[p&uint64(len(ring)-1)] = *t.at(p)
	}
	t.ring = ring
}

// Find returns the place of the record at offset, for one that is read again. It is false if that is finished or was never
// added. It takes logarithmic time.
func (t *Tracker[T]) Find(offset int64) (place uint64, ok bool) {
	place = t.head + uint64(sort.Search(int(t.tail-t.head), func(i int) bool { return t.at(t.head+uint64(i)).offset >= offset }))
	if place == t.tail {
		return 0, false
	}
	e := t.at(place)
	return place, e.offset == offset && !e.done
}

// Finish marks the record at place, which was added and not finished before, as finished, forgets its item, and says
// whether the watermark moved.
func (t *Tracker[T]) Finish(place uint64) bool {
	e := t.at(place)
	*e = entry[T]{offset: e.offset, done: true}
	t.top = max(t.top, place+1)
	if place != t.head {
		return false
	}
	for t.head < t.tail && t.at(t.head).done {
		t.head++
	}
	return true
}

// Offset is the watermark, the offset to commit: every record below it is finished. It is -1 before the first record.
func (t *Tracker[T]) Offset() int64 {
	switch {
	case t.tail == 0:
		return -1
	case t.head == t.tail:
		return t.next
	default:
		return t.at(t.head).offset
	}
}

// Next is the offset behind the newest record; 0 before the first.
func (t *Tracker[T]) Next() int64 { return t.next }

// Span counts the records from the oldest unfinished one to the newest.
func (t *Tracker[T]) Span() int { return int(t.tail - t.head) }

// Oldest is the item of the oldest unfinished record, the one that holds the watermark; false if all are finished.
func (t *Tracker[T]) Oldest() (item T, ok bool) {
	if t.head == t.tail {
		return item, false
	}
	return t.at(t.head).item, true
}

// Unfinished iterates over the records that are unfinished although a later one is finished, oldest first, with their
// offsets: were they finished too, nothing finished would be left above the watermark. The tracker must not change
// meanwhile.
func (t *Tracker[T]) Unfinished() iter.Seq2[int64, T] {
	return func(yield func(int64, T) bool) {
		for p := t.head; p < t.top; p++ {
			if e := t.at(p); !e.done && !yield(e.offset, e.item) {
				return
			}
		}
	}
}

// Finished iterates over what is finished above the watermark, lowest first: ranges from an offset to another that is
// not among them. Gaps of the log between finished records belong to their range. The tracker must not change meanwhile.
func (t *Tracker[T]) Finished() iter.Seq2[int64, int64] {
	return func(yield func(from, to int64) bool) {
		for p := t.head; p < t.top; p++ {
			if !t.at(p).done {
				continue
			}
			from := t.at(p).offset
			for p+1 < t.top && t.at(p+1).done {
				p++
			}
			if !yield(from, t.at(p).offset+1) {
				return
			}
		}
	}
}
