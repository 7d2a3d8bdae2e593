package retry

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// An item is a record that waits in an open slot.
type item struct {
	due    int64 // Unix milliseconds
	offset int64
	place  uint64 // in the slot's tracker
	bytes  int64
	record *kgo.Record // memory of its own, not its batch's
}

func before(a, b *item) bool { return a.due < b.due || a.due == b.due && a.offset < b.offset }

// A heap has the item that is due first on top.
type heap struct {
	items []*item
	bytes int64
}

func (h *heap) len() int { return len(h.items) }

// top returns the item that is due first, or nil.
func (h *heap) top() *item {
	if len(h.items) == 0 {
		return nil
	}
	return h.items[0]
}

func (h *heap) push(it *item) {
	h.items = append(h.items, it)
	h.bytes += it.bytes
	for i := len(h.items) - 1; i > 0; {
		parent := (i - 1) / 2
		if !before(h.items[i], h.items[parent]) {
			return
		}
		h.items[i], h.items[parent] = h.items[parent], h.items[i]
		i = parent
	}
}

func (h *heap) pop() *item {
	top, last := h.items[0], len(h.items)-1
	h.items[0], h.items[last] = h.items[last], nil
	h.items = h.items[:last]
	h.bytes -= top.bytes
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if before(h.items[child], h.items[least]) {
				least = child
			}
		}
		if least == i {
			return top
		}
		h.items[i], h.items[least] = h.items[least], h.items[i]
		i = least
	}
}

// cut drops the later half of the items and returns the first that it dropped.
func (h *heap) cut() (first *item) {
	slices.SortFunc(h.items, func(a, b *item) int {
		if before(a, b) {
			return -1
		}
		return 1
	})
	keep := len(h.items) / 2
	first = h.items[keep]
	for _, it := range h.items[keep:] {
		h.bytes -= it.bytes
	}
	clear(h.items[keep:])
	h.items = h.items[:keep] // sorted, and so a heap
	return first
}
