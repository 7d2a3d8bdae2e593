package claim

import (
	"context"
	"sync"
	"sync/atomic"
)

// A mailbox holds what waits for a goroutine, up to a limit; beyond that it is refused, and counted. It is for what nothing
// depends on. Taking takes all that waits, so batches form without a timer.
type mailbox[T any] struct {
	limit   int
	wake    chan struct{} // has a token when something waits
	refused atomic.Uint64

	mu      sync.Mutex
	waiting []T
}

func newMailbox[T any](limit int) *mailbox[T] {
	return &mailbox[T]{limit: limit, wake: make(chan struct{}, 1)}
}

// put never blocks.
func (m *mailbox[T]) put(v T) {
	m.mu.Lock()
	full := len(m.waiting) >= m.limit
	if !full {
		m.waiting = append(m.waiting, v)
	}
	m.mu.Unlock()
	if full {
		m.refused.Add(1)
		return
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take waits for something and returns up to n of it, in the memory of into. It returns none when ctx has ended and nothing
// waits.
func (m *mailbox[T]) take(ctx context.Context, into []T, n int) []T {
	for {
		ended := ctx.Err() != nil // looked at first: what was put before the end is taken
		m.mu.Lock()
		if n := min(len(m.waiting), n); n > 0 {
			into = append(into[:0], m.waiting[:n]...)
			rest := copy(m.waiting, m.waiting[n:])
			clear(m.waiting[rest:])
			m.waiting = m.waiting[:rest]
			m.mu.Unlock()
			return into
		}
		m.mu.Unlock()
		if ended {
			return into[:0]
		}
		select {
		case <-m.wake:
		case <-ctx.Done():
		}
	}
}
