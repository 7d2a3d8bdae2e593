package producer

import "sync"

// A dispatcher is the one goroutine that calls functions of the caller's and calls the client on behalf of its own
// callbacks. What waits for it is bounded by the budget: a delivery is outstanding until it was reported.
type dispatcher struct {
	mu      sync.Mutex
	queue   []*delivery
	stopped bool
	wake    chan struct{}
	ended   chan struct{}
}

func newDispatcher() *dispatcher {
	return &dispatcher{wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// push hands d over, unless the dispatcher has stopped. It does not block.
func (q *dispatcher) push(d *delivery) bool {
	q.mu.Lock()
	if q.stopped {
		q.mu.Unlock()
		return false
	}
	q.queue = append(q.queue, d)
	q.mu.Unlock()
	q.signal()
	return true
}

func (q *dispatcher) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run works until stop, and then off what is left.
func (q *dispatcher) run() {
	defer close(q.ended)
	var batch []*delivery
	for range q.wake {
		q.mu.Lock()
		batch, q.queue = q.queue, batch[:0]
		stopped := q.stopped
		q.mu.Unlock()
		for i, d := range batch {
			batch[i] = nil
			d.step()
		}
		if stopped {
			return
		}
	}
}

// stop ends run and waits for it.
func (q *dispatcher) stop() {
	q.mu.Lock()
	q.stopped = true
	q.mu.Unlock()
	q.signal()
	<-q.ended
}
