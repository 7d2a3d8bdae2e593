// Package watermark tracks which records of a partition are finished, and so up to where an offset may be committed.
package watermark

// A Tracker knows which records of one partition are finished, and so the watermark: the offset below which all are.
// Records are added in the order of their offsets; between two of them the log may have gaps (compaction, transaction
// markers), which count as finished. Each record gets a place, by which it is finished in any order.
//
// The places lie in a ring that grows to the span between the oldest unfinished record and the newest one, 16 bytes
// each, and never shrinks below what it needed once. All operations take constant amortized time. The zero value is
// ready for use; it is not safe for concurrent use.
type Tracker struct {
	ring []entry // its length is a power of two
	head uint64  // place of the oldest unfinished record
	tail uint64  // place that the next record gets
	next int64   // offset behind the newest record
}

type entry struct {
	offset int64
	done   bool
}

// Add gives the record at offset its place. It refuses an offset that is not behind all earlier ones: the log was
// truncated or re-created, and what this tracker knows is void.
func (t *Tracker) Add(offset int64) (place uint64, ok bool) {
	if t.tail > 0 && offset < t.next {
		return 0, false
	}
	if t.tail-t.head == uint64(len(t.ring)) {
		t.grow()
	}
	place = t.tail
	t.ring[place&uint64(len(t.ring)-1)] = entry{offset: offset}
	t.tail++
	t.next = offset + 1
	return place, true
}

func (t *Tracker) grow() {
	ring := make([]entry, max(64, 2*len(t.ring)))
	for p := t.head; p < t.tail; p++ {
		ring[p&uint64(len(ring)-1)] = t.ring[p&uint64(len(t.ring)-1)]
	}
	t.ring = ring
}

// Finish marks the record at place, which was added and not finished before, as finished, and says whether the watermark
// moved.
func (t *Tracker) Finish(place uint64) bool {
	mask := uint64(len(t.ring) - 1)
	t.ring[place&mask].done = true
	if place != t.head {
		return false
	}
	for t.head < t.tail && t.ring[t.head&mask].done {
		t.head++
	}
	return true
}

// Offset is the watermark, the offset to commit: every record below it is finished. It is -1 before the first record.
func (t *Tracker) Offset() int64 {
	switch {
	case t.tail == 0:
		return -1
	case t.head == t.tail:
		return t.next
	default:
		return t.ring[t.head&uint64(len(t.ring)-1)].offset
	}
}

// Next is the offset behind the newest record; 0 before the first.
func (t *Tracker) Next() int64 { return t.next }

// Span counts the records from the oldest unfinished one to the newest.
func (t *Tracker) Span() int { return int(t.tail - t.head) }
