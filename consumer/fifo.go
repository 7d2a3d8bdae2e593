package consumer

import "slices"

// A fifo is a queue of turns in a ring whose length is a power of two.
type fifo struct {
	ring       []*turn
	head, tail uint64
}

func (f *fifo) len() int { return int(f.tail - f.head) }

func (f *fifo) push(turns []*turn) {
	f.grow(len(turns))
	for _, t := range turns {
		f.ring[f.tail&uint64(len(f.ring)-1)] = t
		f.tail++
	}
}

// unshift puts turns in front of all others, in this order.
func (f *fifo) unshift(turns []*turn) {
	f.grow(len(turns))
	for _, t := range slices.Backward(turns) {
		f.head-- // below zero it goes round, and so does the ring
		f.ring[f.head&uint64(len(f.ring)-1)] = t
	}
}

// grow makes room for n more.
func (f *fifo) grow(n int) {
	if need := f.len() + n; need > len(f.ring) {
		size := max(64, len(f.ring))
		for size < need {
			size *= 2
		}
		ring := make([]*turn, size)
		had := uint64(f.len())
		for i := range had {
			ring[i] = f.ring[(f.head+i)&uint64(len(f.ring)-1)]
		}
		f.ring, f.head, f.tail = ring, 0, had
	}
}

// peek returns the turn that pop would; there must be one.
func (f *fifo) peek() *turn { return f.ring[f.head&uint64(len(f.ring)-1)] }

func (f *fifo) pop() *turn {
	i := f.head & uint64(len(f.ring)-1)
	t := f.ring[i]
	f.ring[i] = nil
	f.head++
	return t
}

func (f *fifo) remove(match func(*turn) bool) (removed []*turn) {
	for range f.len() {
		if t := f.pop(); match(t) {
			removed = append(removed, t)
		} else {
			f.push([]*turn{t})
		}
	}
	return removed
}
