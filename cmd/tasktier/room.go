package main

import (
	"context"
	"sync"
)

// A room bounds the bytes that are under way. One taker at a time.
type room struct {
	mu    sync.Mutex
	free  int
	whole int
	freed chan struct{} // has one element after something was given back
}

func newRoom(bytes int) *room {
	return &room{free: bytes, whole: bytes, freed: make(chan struct{}, 1)}
}

// take waits until n bytes are free, or all of them if n is more than there are.
func (r *room) take(ctx context.Context, n int) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.mu.Lock()
		if r.free >= min(n, r.whole) {
			r.free -= n
			r.mu.Unlock()
			return nil
		}
		r.mu.Unlock()
		select {
		case <-r.freed:
		case <-ctx.Done():
		}
	}
}

// give returns what was taken.
func (r *room) give(n int) {
	r.mu.Lock()
	r.free += n
	r.mu.Unlock()
	select {
	case r.freed <- struct{}{}:
	default:
	}
}
