package consumer

import (
	"context"
	"sync"
)

// A window bounds what one queue holds in memory, by count and by bytes. It is charged for every record that is polled
// and released when the record is settled or dropped. Because a poll is limited by the count that is left but not by the
// bytes, the bytes may pass their limit by one poll.
type window struct {
	maxCount int
	maxBytes int64

	mu    sync.Mutex
	count int
	bytes int64
	room  chan struct{} // has a token when the window may have opened since the poller last looked
}

func newWindow(count int, bytes int64) *window {
	return &window{maxCount: count, maxBytes: bytes, room: make(chan struct{}, 1)}
}

// wait blocks until a worthwhile part of the window is free, a quarter, so that a saturated queue is polled in batches
// and not record by record. It returns how many records may be polled, or 0 when ctx ended.
func (w *window) wait(ctx context.Context) int {
	for {
		w.mu.Lock()
		free := w.maxCount - w.count
		open := w.open()
		w.mu.Unlock()
		if open {
			return free
		}
		select {
		case <-w.room:
		case <-ctx.Done():
			return 0
		}
	}
}

// hasRoom says whether wait would return at once.
func (w *window) hasRoom() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open()
}

// open is whether a quarter is free; w.mu is held.
func (w *window) open() bool {
	return w.count <= w.maxCount-max(1, w.maxCount/4) && w.bytes <= w.maxBytes-w.maxBytes/4
}

func (w *window) charge(count int, bytes int64) {
	w.mu.Lock()
	w.count += count
	w.bytes += bytes
	w.mu.Unlock()
}

func (w *window) release(count int, bytes int64) {
	w.mu.Lock()
	was := w.open()
	w.count -= count
	w.bytes -= bytes
	opened := !was && w.open()
	w.mu.Unlock()
	if opened {
		select {
		case w.room <- struct{}{}:
		default:
		}
	}
}

// load returns what the window is charged with.
func (w *window) load() (count int, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count, w.bytes
}
