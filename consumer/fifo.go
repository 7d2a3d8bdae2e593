package consumer

// A fifo is a queue of turns in a ring whose length is a power of two.
type fifo struct {
	ring       []*turn
	head, tail uint64
}

func (f *fifo) len() int { return int(f.tail - f.head) }

func (f *fifo) push(turns []*turn) {
	if need := f.len() + len(turns); need > len(f.ring) {
		size := max(64, len(f.ring))
		for size < need {
			size *= 2
		}
		ring := make([]*turn, size)
		n := uint64(f.len())
		for i := range n {
			ring[i] = f.ring[(f.head+i)&uint64(len(f.ring)-1)]
		}
		f.ring, f.head, f.tail = ring, 0, n
	}
	for _, t := range turns {
		f.ring[f.tail&uint64(len(f.ring)-1)] = t
		f.tail++
	}
}

// unshift puts turns in front of all others, in this order.
func (f *fifo) unshift(turns []*turn) {
	behind := make([]*turn, 0, f.len())
	for f.len() > 0 {
		behind = append(behind, f.pop())
	}
	f.push(turns)
	f.push(behind)
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
