package producer

import (
	"context"
	"sync"
)

// A budget bounds the bytes that are outstanding. Those who wait for room are served in their order, so that a large
// task is not overtaken for ever by small ones.
type budget struct {
	mu      sync.Mutex
	free    int
	held    int // tasks, not bytes
	total   int
	waiters []*waiter
	closed  bool
	idle    chan struct{} // closed when the budget is closed and nothing is held
}

type waiter struct {
	cost  int
	ready chan struct{} // closed when granted, or when the budget was closed
	ok    bool          // granted
}

func newBudget(total int) *budget {
	return &budget{free: total, total: total, idle: make(chan struct{})}
}

// acquire takes cost bytes, or as much as there is at all. It waits until they are free; it fails with ErrClosed or
// with ctx's cause, and then has taken nothing.
func (b *budget) acquire(ctx context.Context, cost int) (granted int, err error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	cost = min(cost, b.total)
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return 0, ErrClosed
	}
	if len(b.waiters) == 0 && b.free >= cost {
		b.free -= cost
		b.held++
		b.mu.Unlock()
		return cost, nil
	}
	w := &waiter{cost: cost, ready: make(chan struct{})}
	b.waiters = append(b.waiters, w)
	b.mu.Unlock()

	select {
	case <-w.ready:
		if !w.ok {
			return 0, ErrClosed
		}
		return cost, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.ok { // granted in the same moment
		b.giveBack(cost)
	} else {
		b.forget(w)
	}
	return 0, context.Cause(ctx)
}

// release returns what acquire granted.
func (b *budget) release(granted int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.giveBack(granted)
}

// giveBack is release under the lock.
func (b *budget) giveBack(granted int) {
	b.free += granted
	b.held--
	b.grant()
	b.settle()
}

// grant serves those who wait, from the front.
func (b *budget) grant() {
	for len(b.waiters) > 0 && b.waiters[0].cost <= b.free {
		w := b.waiters[0]
		b.waiters = b.waiters[1:]
		b.free -= w.cost
		b.held++
		w.ok = true
		close(w.ready)
	}
}

// forget removes w, which may have held up smaller ones behind it.
func (b *budget) forget(w *waiter) {
	for i := range b.waiters {
		if b.waiters[i] == w {
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			b.grant()
			return
		}
	}
}

// close refuses those who wait and who come, and says whether it was open.
func (b *budget) close() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.closed = true
	for _, w := range b.waiters {
		close(w.ready)
	}
	b.waiters = nil
	b.settle()
	return true
}

func (b *budget) settle() {
	if b.closed && b.held == 0 {
		select {
		case <-b.idle:
		default:
			close(b.idle)
		}
	}
}

// outstanding is the number of tasks that hold bytes.
func (b *budget) outstanding() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}
