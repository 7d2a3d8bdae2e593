package watermark

import (
	"iter"
	"math"
	"slices"
	"sort"
	"strings"
)

// A Span is the offsets from From on and below To whose records were written by the leader of an epoch. An offset and a
// leader epoch name a record for good; an offset alone does not, because a log that lost its end uses its offsets again.
type Span struct {
	From, To int64
	Epoch    int32
}

// Ranges are the finished records above a watermark, as they are written down beside a committed offset. The zero value
// has none.
type Ranges struct {
	// Watermark is the offset that they were written down with. Beside another one they mean nothing.
	Watermark int64

	spans []Span // ascending, none empty, none touching another of its epoch
}

// find returns the index of the first span that ends behind offset.
func (r *Ranges) find(offset int64) int {
	return sort.Search(len(r.spans), func(i int) bool { return offset < r.spans[i].To })
}

// Contains says whether the record at offset, of that epoch, is finished. It takes logarithmic time.
func (r *Ranges) Contains(offset int64, epoch int32) bool {
	i := r.find(offset)
	return i < len(r.spans) && r.spans[i].From <= offset && r.spans[i].Epoch == epoch
}

// End is the offset behind the last range; 0 if there is none.
func (r *Ranges) End() int64 {
	if len(r.spans) == 0 {
		return 0
	}
	return r.spans[len(r.spans)-1].To
}

// Above iterates over what the ranges have at and above offset, lowest first.
func (r *Ranges) Above(offset int64) iter.Seq[Span] {
	return func(yield func(Span) bool) {
		for _, s := range r.spans[r.find(offset):] {
			s.From = max(s.From, offset)
			if !yield(s) {
				return
			}
		}
	}
}

// The text of ranges is a version, the watermark, and a section for each stretch of one leader epoch: a dot, the epoch, and
// two numbers for each range: how many offsets lie between the range before and this one, less one (the first of a section
// may touch what is before it: there it is not less one), and how many are in it, less one. A number is written in digits
// of five bits, the lowest first, each a character; all but the last have the sixth bit set. So most ranges take two to
// four characters.
const (
	version  = "1:"
	section  = '.'
	alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	more     = 32
)

// Encode writes ranges down in at most limit characters of ASCII, the lowest ones if not all fit, and "" if none does or
// there is none. They must ascend and none may begin below the watermark; those of an epoch that touch are written as one.
// Spans of a negative epoch, which is none, are left out.
func Encode(watermark int64, ranges iter.Seq[Span], limit int) string {
	w := writer{text: appendNumber([]byte(version), watermark), end: watermark, epoch: -1, limit: limit}
	head := len(w.text)
	var open Span
	for s := range ranges {
		switch {
		case s.Epoch < 0:
			continue
		case open.To > 0 && s.From == open.To && s.Epoch == open.Epoch:
			open.To = s.To
			continue
		case open.To > 0:
			w.write(open)
		}
		if open = s; w.full {
			break
		}
	}
	if open.To > 0 {
		w.write(open)
	}
	if len(w.text) == head {
		return ""
	}
	return string(w.text)
}

type writer struct {
	text  []byte
	limit int
	end   int64 // of the span before
	epoch int32 // of the section; -1: none yet
	full  bool
}

// write adds a span unless it does not fit, or one before did not.
func (w *writer) write(s Span) {
	longer, between := w.text, s.From-w.end-1
	if s.Epoch != w.epoch {
		longer, between = appendNumber(append(longer, section), int64(s.Epoch)), between+1
	}
	longer = appendNumber(appendNumber(longer, between), s.To-s.From-1)
	if w.full = w.full || len(longer) > w.limit; !w.full {
		w.text, w.end, w.epoch = longer, s.To, s.Epoch
	}
}

// Decode reads what Encode wrote. Of anything else, in part or as a whole, it believes nothing: to know of no range only
// repeats work.
func Decode(text string) (Ranges, bool) {
	text, ok := strings.CutPrefix(text, version)
	d := decoder{text: text, ok: ok}
	r := Ranges{Watermark: d.number()}
	end, epoch := r.Watermark, int64(-1)
	d.ok = d.ok && d.text != ""
	for d.ok && d.text != "" {
		s := Span{}
		if d.text[0] == section {
			d.text = d.text[1:]
			before := epoch
			epoch = d.number()
			d.ok = d.ok && epoch != before && epoch <= math.MaxInt32
			s.From = d.behind(end - 1)
		} else {
			d.ok = epoch >= 0
			s.From = d.behind(end)
		}
		s.To, s.Epoch = d.behind(s.From), int32(epoch)
		r.spans, end = append(r.spans, s), s.To
	}
	if !d.ok {
		return Ranges{}, false
	}
	r.spans = slices.Clip(r.spans)
	return r, true
}

func appendNumber(text []byte, n int64) []byte {
	for ; n >= more; n >>= 5 {
		text = append(text, alphabet[n%more+more])
	}
	return append(text, alphabet[n])
}

// A decoder reads numbers until one is wrong; ok says that none was.
type decoder struct {
	text string
	ok   bool
}

// number reads one, of at most 63 bits and without needless digits.
func (d *decoder) number() (n int64) {
	for shift := 0; d.ok && d.text != ""; shift += 5 {
		digit := int64(strings.IndexByte(alphabet, d.text[0]))
		d.text = d.text[1:]
		value := digit % more
		if digit < 0 || shift > 60 || value > math.MaxInt64>>shift {
			break
		}
		n |= value << shift
		if digit < more {
			d.ok = value > 0 || shift == 0
			return n
		}
	}
	d.ok = false
	return 0
}

// behind reads how far behind offset the next one lies, less one.
func (d *decoder) behind(offset int64) int64 {
	n := d.number()
	if n > math.MaxInt64-1-offset {
		d.ok = false
		return offset
	}
	return offset + 1 + n
}
