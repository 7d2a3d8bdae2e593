package spec

import "math/bits"

// canonical gives a state the one form that all states have which nothing can tell apart: the order of records in a bag,
// which of two slots of a process does what, and how large run numbers are (only their order matters) make no difference.
func (s *state) canonical() {
	sortDown(s.avail[:])
	sortDown(s.done[:])
	sortDown(s.tier[:])
	if s.left.uncommit == 0 {
		s.done = [len(s.done)]record{}
	}
	if s.slots[0].less(&s.slots[1]) {
		s.slots[0], s.slots[1] = s.slots[1], s.slots[0]
	}
	s.rankRuns()
}

func sortDown(in []record) {
	for i := 1; i < len(in); i++ {
		for k := i; k > 0 && in[k-1].key() < in[k].key(); k-- {
			in[k-1], in[k] = in[k], in[k-1]
		}
	}
}

func (r record) key() int { return int(r.g)<<16 | int(r.t)<<8 | int(r.a) }

func (n *slot) key() (k [2]uint64) {
	flags := uint64(0)
	for i, b := range []bool{n.owns, n.gone, n.former, n.born, n.copied, n.solo, n.exclusive, n.flagged} {
		if b {
			flags |= 1 << i
		}
	}
	k[0] = uint64(n.phase)<<32 | uint64(n.rec.key())
	k[1] = uint64(n.outcome)<<32 | uint64(uint8(n.run))<<24 | uint64(uint8(n.grave))<<16 | flags
	return k
}

func (n *slot) less(m *slot) bool {
	a, b := n.key(), m.key()
	return a[0] < b[0] || a[0] == b[0] && a[1] < b[1]
}

// rankRuns renumbers run numbers 1, 2, 3 … in their order.
func (s *state) rankRuns() {
	runs := [...]*int8{&s.claim.run, &s.lagging.run, &s.drawn, &s.slots[0].run, &s.slots[1].run, &s.slots[2].run}
	var used uint64
	for _, r := range runs {
		used |= 1 << *r
	}
	used &^= 1 // zero is none
	for _, r := range runs {
		if *r > 0 {
			*r = int8(bits.OnesCount64(used & (1<<(*r+1) - 1)))
		}
	}
}
