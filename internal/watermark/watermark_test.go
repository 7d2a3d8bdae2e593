package watermark

import (
	"fmt"
	"iter"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func item(offset int64) string { return fmt.Sprint("record ", offset) }

// naive says the same as a tracker with nothing to get wrong.
type naive []entry[string]

func (n naive) watermark() int64 {
	for _, e := range n {
		if !e.done {
			return e.offset
		}
	}
	if len(n) == 0 {
		return -1
	}
	return n[len(n)-1].offset + 1
}

func (n naive) span() int {
	i := slices.IndexFunc(n, func(e entry[string]) bool { return !e.done })
	if i < 0 {
		return 0
	}
	return len(n) - i
}

// above says what is finished above the watermark, and what is unfinished below that.
func (n naive) above() (finished []stretch, unfinished []int64) {
	var held []int64
	for i, e := range n {
		switch {
		case !e.done:
			held = append(held, e.offset)
		case len(held) == 0 && len(finished) == 0: // below the watermark
		case n[i-1].done:
			finished[len(finished)-1].to = e.offset + 1
		default:
			finished = append(finished, stretch{e.offset, e.offset + 1})
			unfinished = append(unfinished, held...)
			held = nil
		}
	}
	return finished, unfinished
}

// stretch is the offsets from from on and below to.
type stretch struct{ from, to int64 }

func stretches(seq iter.Seq2[int64, int64]) (all []stretch) {
	for from, to := range seq {
		all = append(all, stretch{from, to})
	}
	return all
}

func TestTrackerAgreesWithANaiveOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tr Tracker[string]
		var model naive
		var open []uint64 // places that are not finished; a place is an index of the model
		next := rapid.Int64Range(0, 5).Draw(t, "first")
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "records") {
					next += rapid.Int64Range(0, 3).Draw(t, "gap")
					place, ok := tr.Add(next, item(next))
					if !ok || place != uint64(len(model)) {
						t.Fatalf("add %d: place %d, %t, want %d", next, place, ok, len(model))
					}
					model = append(model, entry[string]{item: item(next), offset: next})
					open = append(open, place)
					next++
				}
			},
			"add behind": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("nothing is behind")
				}
				if _, ok := tr.Add(rapid.Int64Range(0, next-1).Draw(t, "offset"), ""); ok {
					t.Fatal("took an offset that it had passed")
				}
			},
			"finish": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "records") {
					if len(open) == 0 {
						return
					}
					i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
					before := model.watermark()
					model[open[i]].done = true
					if moved := tr.Finish(open[i]); moved != (model.watermark() != before) {
						t.Fatalf("finish says moved %t; the watermark was %d and is %d", moved, before, model.watermark())
					}
					open = slices.Delete(open, i, i+1)
				}
			},
			"find": func(t *rapid.T) {
				offset := rapid.Int64Range(0, next+1).Draw(t, "offset")
				want := slices.IndexFunc(model, func(e entry[string]) bool { return e.offset == offset && !e.done })
				if place, ok := tr.Find(offset); ok != (want >= 0) || ok && place != uint64(want) {
					t.Fatalf("find %d: place %d, %t, want %d", offset, place, ok, want)
				}
			},
			"": func(t *rapid.T) {
				if got, want := tr.Offset(), model.watermark(); got != want {
					t.Fatalf("watermark %d, want %d", got, want)
				}
				if got, want := tr.Span(), model.span(); got != want {
					t.Fatalf("span %d, want %d", got, want)
				}
				if got, ok := tr.Oldest(); ok != (model.span() > 0) || ok && got != item(model.watermark()) {
					t.Fatalf("the oldest unfinished is %q (%t) at watermark %d", got, ok, model.watermark())
				}
				finished, unfinished := model.above()
				if got := stretches(tr.Finished()); !slices.Equal(got, finished) {
					t.Fatalf("finished above the watermark: %v, want %v", got, finished)
				}
				var held []int64
				for offset, it := range tr.Unfinished() {
					if it != item(offset) {
						t.Fatalf("the record at %d has %q", offset, it)
					}
					held = append(held, offset)
				}
				if !slices.Equal(held, unfinished) {
					t.Fatalf("unfinished below a finished one: %v, want %v", held, unfinished)
				}
				for _, e := range tr.ring {
					if e.done && e.item != "" {
						t.Fatalf("%q is finished and kept", e.item)
					}
				}
			},
		})
	})
}

// Places stay what they were while the ring grows and while it turns over.
func TestTrackerKeepsPlaces(t *testing.T) {
	var tr Tracker[struct{}]
	first, _ := tr.Add(0, struct{}{})
	places := []uint64{first}
	for offset := int64(1); offset < 1000; offset++ {
		place, _ := tr.Add(offset, struct{}{})
		places = append(places, place)
	}
	for _, place := range slices.Backward(places[1:]) {
		if tr.Finish(place) {
			t.Fatalf("the watermark moved past an unfinished record at place %d", place)
		}
	}
	if got := tr.Offset(); got != 0 {
		t.Errorf("watermark %d before the first record is finished", got)
	}
	tr.Finish(first)
	if got := tr.Offset(); got != 1000 {
		t.Errorf("watermark %d, want 1000", got)
	}
	size := len(tr.ring)
	for offset := int64(1000); offset < 100_000; offset++ {
		place, _ := tr.Add(offset, struct{}{})
		tr.Finish(place)
	}
	if len(tr.ring) != size {
		t.Errorf("the ring grew from %d to %d although the span never did", size, len(tr.ring))
	}
}

// Gaps in the log, left by compaction or transaction markers, hold nothing back: the watermark is the offset of the
// next unfinished record, or the one after the last. Pitfall 24 of docs/pitfalls.md.
func TestGapsHoldNothingBack(t *testing.T) {
	var tr Tracker[struct{}]
	a, _ := tr.Add(10, struct{}{})
	b, _ := tr.Add(20, struct{}{})
	tr.Finish(a)
	if got := tr.Offset(); got != 20 {
		t.Errorf("watermark %d, want 20: nothing is between 10 and 20", got)
	}
	tr.Finish(b)
	if got := tr.Offset(); got != 21 {
		t.Errorf("watermark %d, want 21", got)
	}
}
