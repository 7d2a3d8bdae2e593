package watermark

import (
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What is written down and read again is the same, or, where it does not fit, its lowest ranges.
func TestRangesReadWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.OneOf(rapid.Int64Range(1, 40), rapid.Int64Range(1, 1<<40))
		watermark := rapid.Int64Range(0, 1<<45).Draw(t, "watermark")
		epoch := rapid.Int32Range(0, math.MaxInt32-1000).Draw(t, "epoch")
		var all []Span
		end := watermark
		for range rapid.IntRange(0, 200).Draw(t, "ranges") {
			from := end + sizes.Draw(t, "unfinished")
			if rapid.IntRange(0, 9).Draw(t, "leader") == 0 {
				epoch++
				from -= rapid.Int64Range(0, 1).Draw(t, "touches the span before")
			} else if len(all) == 0 {
				from -= rapid.Int64Range(0, 1).Draw(t, "touches the watermark")
			}
			end = from + sizes.Draw(t, "finished")
			all = append(all, Span{from, end, epoch})
		}
		limit := rapid.IntRange(0, 2000).Draw(t, "limit")

		text := Encode(watermark, slices.Values(all), limit)
		if len(text) > limit {
			t.Fatalf("%d characters, limit %d", len(text), limit)
		}
		if text == "" {
			if len(all) > 0 && limit > 100 {
				t.Fatalf("not one of %d ranges fits %d characters", len(all), limit)
			}
			return
		}
		r, ok := Decode(text)
		if !ok || r.Watermark != watermark {
			t.Fatalf("%q is read as %+v, %t", text, r, ok)
		}
		if n := len(r.spans); n > len(all) || !slices.Equal(r.spans, all[:n]) {
			t.Fatalf("read %v, wrote %v", r.spans, all)
		} else if n < len(all) && len(Encode(watermark, slices.Values(all[:n+1]), math.MaxInt)) <= limit {
			t.Fatalf("%d of %d ranges were written, and one more fits", n, len(all))
		}
	})
}

func TestRangesKnowTheirRecords(t *testing.T) {
	r, ok := Decode(Encode(10, slices.Values([]Span{{12, 13, 0}, {20, 30, 0}, {30, 35, 0}, {35, 36, 2}, {50, 60, -1}, {100, 200, 2}}), 100))
	if !ok || len(r.spans) != 4 || r.End() != 200 {
		t.Fatalf("read %+v", r)
	}
	for offset := range int64(300) {
		want := map[int32]bool{
			0: offset == 12 || offset >= 20 && offset < 35,
			2: offset == 35 || offset >= 100 && offset < 200,
		}
		for epoch := int32(-1); epoch < 4; epoch++ {
			if got := r.Contains(offset, epoch); got != want[epoch] {
				t.Errorf("offset %d of epoch %d: %t", offset, epoch, got)
			}
		}
	}
	for offset, want := range map[int64][]Span{
		0:   {{12, 13, 0}, {20, 35, 0}, {35, 36, 2}, {100, 200, 2}},
		13:  {{20, 35, 0}, {35, 36, 2}, {100, 200, 2}},
		34:  {{34, 35, 0}, {35, 36, 2}, {100, 200, 2}},
		36:  {{100, 200, 2}},
		199: {{199, 200, 2}},
		200: nil,
	} {
		if got := slices.Collect(r.Above(offset)); !slices.Equal(got, want) {
			t.Errorf("from %d on: %v, want %v", offset, got, want)
		}
	}
	for s := range (&Ranges{}).Above(0) {
		t.Errorf("no ranges have %v", s)
	}
	if (&Ranges{}).Contains(0, 0) || (&Ranges{}).End() != 0 {
		t.Error("no ranges contain something")
	}
}

// A node with a hundred slots and short tasks writes little; a partition full of holes writes as much as it may.
func TestRangesAreCompact(t *testing.T) {
	every := func(n, step int64) iter.Seq[Span] {
		return func(yield func(Span) bool) {
			for i := range n {
				if !yield(Span{1_000_000_000 + i*step + 1, 1_000_000_000 + (i+1)*step, 7}) {
					return
				}
			}
		}
	}
	if got := len(Encode(1_000_000_000, every(100, 20), 4096)); got > 220 {
		t.Errorf("100 ranges take %d characters", got)
	}
	text := Encode(1_000_000_000, every(100_000, 2), 4096)
	if r, ok := Decode(text); !ok || len(text) > 4096 || len(r.spans) < 2000 {
		t.Errorf("%d ranges in %d characters", len(r.spans), len(text))
	}
}

var hostile = map[string]string{
	"empty":                      "",
	"a member id":                "kgo-6f1c9a52-0b5f-4a5e-9a52-2f1e4f6a7b8c",
	"another version":            "2:A.BAA",
	"version alone":              "1:",
	"watermark alone":            "1:A",
	"no range":                   "1:A.B",
	"no section":                 "1:ABAA",
	"no epoch":                   "1:A.",
	"half a range":               "1:A.BA",
	"half of a second range":     "1:A.BAAA",
	"a section without a range":  "1:A.BAA.C",
	"two sections of one epoch":  "1:A.BAA.BAA",
	"a number that does not end": "1:A.BAg",
	"needless digits":            "1:gA.BAA",
	"epoch of 33 bits":           "1:A." + string(appendNumber(nil, 1<<31)) + "AA",
	"number of 65 bits":          "1:" + "____________" + "P.BAA",
	"number of 64 bits":          "1:" + "____________" + "I.BAA",
	"number without end":         "1:" + strings.Repeat("g", 100_000),
	"past the last offset":       "1:B.A" + string(appendNumber(nil, math.MaxInt64-1)) + "A",
	"long past the last offset":  "1:A.AA" + string(appendNumber(nil, math.MaxInt64)),
	"blanks":                     "1:A.B AA",
	"not ASCII":                  "1:A.BéA",
}

func TestRangesBelieveNothingElse(t *testing.T) {
	for name, text := range hostile {
		if r, ok := Decode(text); ok {
			t.Errorf("%s: %q is read as %+v", name, text, r)
		}
	}
	if r, ok := Decode("1:A.BAA"); !ok || !slices.Equal(r.spans, []Span{{0, 1, 1}}) {
		t.Errorf("the smallest text is read as %+v, %t", r, ok)
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range slices.Sorted(maps.Values(hostile)) {
		f.Add(text)
	}
	f.Add("1:A.BAA")
	f.Add(Encode(1<<40, slices.Values([]Span{{1<<40 + 1, 1<<40 + 500, 5}, {1<<40 + 600, 1 << 50, 5}, {1 << 50, 1<<50 + 1, 6}}), 100))
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := Decode(text)
		if !ok {
			return
		}
		before := Span{To: r.Watermark, Epoch: -1}
		for _, s := range r.spans {
			if s.From < before.To || s.From == before.To && s.Epoch == before.Epoch || s.To <= s.From || s.Epoch < 0 {
				t.Fatalf("%q: %v behind %v", text, s, before)
			}
			if !r.Contains(s.From, s.Epoch) || !r.Contains(s.To-1, s.Epoch) || r.Contains(s.From-1, s.Epoch) || r.Contains(s.To, s.Epoch) {
				t.Fatalf("%q: wrong at the ends of %v", text, s)
			}
			before = s
		}
		if again := Encode(r.Watermark, slices.Values(r.spans), len(text)); again != text {
			t.Fatalf("%q is written as %q", text, again)
		}
	})
}
