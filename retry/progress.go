package retry

import (
	"fmt"
	"math"
)

// A mark is a position in the order of dues, for the offsets below an end: it speaks of every record below offset that
// comes before (due, at) in the order of (due, offset). Due is in Unix milliseconds. The metadata of a committed offset is
// a mark: all of those have been forwarded. That stays true for ever.
type mark struct{ offset, due, at int64 }

var (
	// nothing is before all positions.
	nothing = mark{due: math.MinInt64}
	// everything is behind all positions.
	everything = mark{due: math.MaxInt64, at: math.MaxInt64}
)

func (m mark) String() string { return fmt.Sprintf("1 %d %d %d", m.offset, m.due, m.at) }

// parseMark reads metadata. What it can't read says nothing, which repeats work and loses none.
func parseMark(s string) mark {
	var m mark
	var version int
	if n, err := fmt.Sscanf(s, "%d %d %d %d", &version, &m.offset, &m.due, &m.at); n != 4 || err != nil || version != 1 {
		return nothing
	}
	return m
}

// covers says whether the record at offset, due at due, lies before the mark.
func (m mark) covers(offset, due int64) bool { return offset < m.offset && !m.reaches(offset, due) }

// reaches says whether the record lies at the mark or behind it, whatever the end.
func (m mark) reaches(offset, due int64) bool { return due > m.due || due == m.due && offset >= m.at }

// or returns that of two positions which comes first, with the end of m.
func (m mark) or(due, at int64) mark {
	if m.reaches(at, due) {
		return m
	}
	return mark{m.offset, due, at}
}
