package claim

import (
	"sync"
	"time"
)

// recentKept is how many ended runs a node remembers for those who ask.
const recentKept = 256

// A recent is the last runs that ended here: what an operator sees of finished tasks without an index in Redis.
type recent struct {
	mu   sync.Mutex
	ring [recentKept]Entry
	next int
}

func (r *recent) add(h *Hold) {
	e := h.entry(time.UnixMilli(h.have.At)) // when it ended
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring[r.next%recentKept] = e
	r.next++
}

// list returns them, the newest first.
func (r *recent) list() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries := make([]Entry, 0, min(r.next, recentKept))
	for i := r.next - 1; i >= 0 && i >= r.next-recentKept; i-- {
		entries = append(entries, r.ring[i%recentKept])
	}
	return entries
}
