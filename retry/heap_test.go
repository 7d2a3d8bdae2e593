package retry

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestHeapIsASortedList: the heap does what a sorted list would, and cut keeps its first half.
func TestHeapIsASortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h heap
		var model []*item
		offset := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				it := &item{due: rapid.Int64Range(0, 5).Draw(t, "due"), offset: offset, bytes: rapid.Int64Range(1, 9).Draw(t, "bytes")}
				offset++
				h.push(it)
				model = append(model, it)
				slices.SortFunc(model, func(a, b *item) int {
					return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.offset, b.offset))
				})
			},
			"pop": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("empty")
				}
				if got := h.pop(); got != model[0] {
					t.Fatalf("popped %+v, want %+v", got, model[0])
				}
				model = model[1:]
			},
			"cut": func(t *rapid.T) {
				if len(model) < 2 {
					t.Skip("nothing to cut")
				}
				keep := len(model) / 2
				if first := h.cut(); first != model[keep] {
					t.Fatalf("the first that was dropped is %+v, want %+v", first, model[keep])
				}
				model = model[:keep]
			},
			"": func(t *rapid.T) {
				bytes := int64(0)
				for _, it := range model {
					bytes += it.bytes
				}
				if h.len() != len(model) || h.bytes != bytes {
					t.Fatalf("%d items of %d bytes, want %d of %d", h.len(), h.bytes, len(model), bytes)
				}
				if top := h.top(); len(model) == 0 != (top == nil) || top != nil && top != model[0] {
					t.Fatalf("top is %+v", top)
				}
			},
		})
	})
}
