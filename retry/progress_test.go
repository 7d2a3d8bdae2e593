package retry

import (
	"math"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/tier"
	"pgregory.net/rapid"
)

func marks() *rapid.Generator[mark] {
	return rapid.Custom(func(t *rapid.T) mark {
		return mark{rapid.Int64().Draw(t, "offset"), rapid.Int64().Draw(t, "due"), rapid.Int64().Draw(t, "at")}
	})
}

func TestMarkIsReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if m := marks().Draw(t, "mark"); parseMark(m.String()) != m {
			t.Fatalf("%v is read as %v", m, parseMark(m.String()))
		}
	})
}

// TestHostileMetadataCoversNothing: whoever may commit for the group could write anything.
func TestHostileMetadataCoversNothing(t *testing.T) {
	for _, text := range []string{
		"", " ", "1", "1 2", "1 2 3", "2 5 5 5", "1 x 5 5", "1 5 99999999999999999999 0", "0x1 5 5 5", "\x00\xff", "1,5,5,5", "-1 5 5 5",
	} {
		if m := parseMark(text); m.covers(0, 0) || m.covers(4, math.MinInt64) {
			t.Errorf("%q is read as %+v", text, m)
		}
	}
	rapid.Check(t, func(t *rapid.T) { parseMark(rapid.String().Draw(t, "metadata")) })
}

func TestMarkCovers(t *testing.T) {
	m := mark{offset: 100, due: 50, at: 7}
	tests := []struct {
		offset, due   int64
		covers, after bool
	}{
		{0, 49, true, false},
		{99, 49, true, false},
		{100, 49, false, false}, // not read
		{6, 50, true, false},
		{7, 50, false, true}, // the mark itself
		{8, 50, false, true},
		{0, 51, false, true},
		{200, 51, false, true},
	}
	for _, tt := range tests {
		if got := m.covers(tt.offset, tt.due); got != tt.covers {
			t.Errorf("covers(%d, %d) = %v", tt.offset, tt.due, got)
		}
		if got := m.reaches(tt.offset, tt.due); got != tt.after {
			t.Errorf("reaches(%d, %d) = %v", tt.offset, tt.due, got)
		}
	}
	if nothing.covers(0, math.MinInt64) || !everything.or(3, 4).reaches(4, 3) {
		t.Error("nothing covers, or everything is reached early")
	}
}

// TestMarkOrIsTheFirst: of two positions the one that covers less.
func TestMarkOrIsTheFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		small := rapid.Int64Range(0, 3)
		m := mark{4, small.Draw(t, "due"), small.Draw(t, "at")}
		due, at := small.Draw(t, "due2"), small.Draw(t, "at2")
		offset, d := small.Draw(t, "offset"), small.Draw(t, "d")
		want := m.covers(offset, d) && mark{4, due, at}.covers(offset, d)
		if got := m.or(due, at).covers(offset, d); got != want {
			t.Fatalf("%v or (%d, %d) covers (%d, %d): %v", m, due, at, offset, d, got)
		}
	})
}

// TestForwardedAmongEqualDues: what is committed tells records of the same millisecond apart, says nothing of what flies
// or was dropped, and never speaks of the end of a slot that is open.
func TestForwardedAmongEqualDues(t *testing.T) {
	s := &slot{tier: tier.Minute, start: time.UnixMilli(0)}
	o := newOpening(s)
	for offset := range int64(10) {
		o.tracker.Add(offset, struct{}{})
		o.upTo = offset + 1
		o.wait.push(&item{due: 5, offset: offset})
	}
	first := o.wait.pop()
	o.wait.pop()
	if m := o.forwarded(); m != (mark{10, 5, 2}) {
		t.Errorf("two of ten are forwarded: %v", m)
	}
	o.flying[first] = true
	if m := o.forwarded(); m != (mark{10, 5, 0}) {
		t.Errorf("the first is not acknowledged: %v", m)
	}
	clear(o.flying)
	o.wait = heap{}
	if m := o.forwarded(); m.due >= s.end() {
		t.Errorf("an open slot is said to be forwarded to its end: %v", m)
	}
	o.floor = mark{due: 5, at: 4}
	if m := o.forwarded(); m != (mark{10, 5, 4}) {
		t.Errorf("from offset 4 on all was dropped: %v", m)
	}
	o.nextPass()
	if m := o.forwarded(); m != (mark{10, 5, 4}) {
		t.Errorf("the next pass has not read what was dropped: %v", m)
	}
	o.upTo = 10
	if m := o.forwarded(); m != (mark{10, s.end() - 1, 0}) {
		t.Errorf("the next pass kept all, and all is forwarded: %v", m)
	}
}

// FuzzMark: whatever stands in a group's metadata, what is understood of it is written as it was read, and the rest says
// nothing.
func FuzzMark(f *testing.F) {
	for _, text := range []string{"", "1 5 6 7", "1 -1 -9223372036854775808 0", "2 5 5 5", "1 5 5 5 5", " 1\n5 5 5", "1 0x5 5 5"} {
		f.Add(text, int64(4), int64(3))
	}
	f.Fuzz(func(t *testing.T, text string, offset, due int64) {
		m := parseMark(text)
		if m == nothing {
			if m.covers(offset, due) && due >= 0 { // no due is before 1970: those are dead letters
				t.Errorf("%q covers offset %d, due at %d", text, offset, due)
			}
			return
		}
		if again := parseMark(m.String()); again != m {
			t.Errorf("%q is read as %+v, and that as %+v", text, m, again)
		}
		if m.covers(offset, due) && (offset >= m.offset || due > m.due) {
			t.Errorf("%+v covers offset %d, due at %d", m, offset, due)
		}
	})
}
