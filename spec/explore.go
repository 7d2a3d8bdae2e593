package spec

import (
	"fmt"
	"hash/maphash"
	"strings"
)

// A system can be explored: it has a first state, and for each state the steps that are possible.
type system[S comparable] interface {
	first() S
	// steps calls emit for every step that is possible in s.
	steps(s S, emit func(step[S]))
	// wrong names the property that s breaks, or is empty.
	wrong(s S) string
	// quiet says that nothing is left to be done in s.
	quiet(s S) bool
	// describe writes s for a reader.
	describe(s S) string
}

// A step is one indivisible thing that one party does.
type step[S comparable] struct {
	label label
	to    S
	// optional steps are faults, wishes and luck. Nobody may rely on them: a system that can only end with their help is
	// stuck.
	optional bool
}

// A label names a step. It becomes text only in a trace: formatting millions of them would cost more than exploring.
type label struct {
	who  string
	what string
	rec  record
}

func (l label) String() string {
	text := l.what
	if l.who != "" {
		text = l.who + " " + text
	}
	if l.rec.t > 0 {
		text += fmt.Sprintf(" [%d.%d]", l.rec.g, l.rec.t)
	}
	return text
}

// tooMany states end an exploration as a failure: what was not exhausted proves nothing, and a mix that outgrows this
// takes the memory of everybody on the machine. Ten million states are about 4 GB.
const tooMany = 12_000_000

// A report is what an exploration found. Without a violation every reachable state was seen.
type report struct {
	states    int
	violation string
	trace     []string // the shortest way there
}

func (r report) String() string {
	if r.violation == "" {
		return fmt.Sprintf("%d states, exhausted", r.states)
	}
	return fmt.Sprintf("%s\n  %s", r.violation, strings.Join(r.trace, "\n  "))
}

// explore visits every reachable state, nearest first, and stops at the first that breaks a property. When all hold it
// looks for states from which no way without faults leads to a quiet one.
func explore[S comparable](sys system[S]) report { return exploreUpTo(sys, tooMany) }

func exploreUpTo[S comparable](sys system[S], limit int) report {
	e := explorer[S]{sys: sys, seen: newIndex[S]()}
	e.visit(sys.first(), -1)
	for i := 0; i < e.states.len() && e.violation == ""; i++ {
		if e.states.len() > limit {
			return report{states: e.states.len(), violation: "not exhausted: too many states, lower a budget"}
		}
		e.from = append(e.from, int32(len(e.ways)))
		sys.steps(e.states.at(int32(i)), func(st step[S]) {
			if e.violation != "" {
				return
			}
			to := e.visit(st.to, int32(i))
			if !st.optional && to != int32(i) {
				e.ways = append(e.ways, to)
			}
		})
	}
	if e.violation == "" {
		e.findStuck()
	}
	if e.violation == "" {
		return report{states: e.states.len()}
	}
	return report{states: e.states.len(), violation: e.violation, trace: e.trace(e.at)}
}

type explorer[S comparable] struct {
	sys    system[S]
	seen   *index[S]
	states blocks[S]
	parent []int32
	// ways are the ends of all steps that are not optional, those of state i from from[i] to from[i+1].
	ways []int32
	from []int32

	violation string
	at        int32
}

// visit returns the number of a state, a new one if it was not seen before.
func (e *explorer[S]) visit(s S, parent int32) int32 {
	at, known := e.seen.find(s, &e.states)
	if known {
		return at
	}
	e.states.add(s)
	e.parent = append(e.parent, parent)
	if wrong := e.sys.wrong(s); wrong != "" {
		e.violation, e.at = wrong, at
	}
	return at
}

// findStuck sweeps backwards from the quiet states. Most steps lead to states that were found later, so few sweeps do.
func (e *explorer[S]) findStuck() {
	e.from = append(e.from, int32(len(e.ways)))
	ends := make([]bool, e.states.len())
	for changed := true; changed; {
		changed = false
		for i := e.states.len() - 1; i >= 0; i-- {
			if ends[i] {
				continue
			}
			ends[i] = e.sys.quiet(e.states.at(int32(i)))
			for _, to := range e.ways[e.from[i]:e.from[i+1]] {
				ends[i] = ends[i] || ends[to]
			}
			changed = changed || ends[i]
		}
	}
	for i, end := range ends {
		if !end {
			e.violation, e.at = "stuck: without another fault this never ends", int32(i)
			return
		}
	}
}

// trace walks from a state back to the first and names the steps between.
func (e *explorer[S]) trace(at int32) []string {
	lines := []string{"= " + e.sys.describe(e.states.at(at))}
	for ; e.parent[at] >= 0; at = e.parent[at] {
		var name string
		e.sys.steps(e.states.at(e.parent[at]), func(st step[S]) {
			if name == "" && st.to == e.states.at(at) {
				name = st.label.String()
			}
		})
		lines = append(lines, name)
	}
	for i, k := 0, len(lines)-1; i < k; i, k = i+1, k-1 {
		lines[i], lines[k] = lines[k], lines[i]
	}
	return lines
}

// blocks is a slice that grows without copying: a copy of millions of states would need their memory twice.
type blocks[S any] struct{ full [][]S }

const blockSize = 1 << 14

func (b *blocks[S]) len() int {
	if len(b.full) == 0 {
		return 0
	}
	last := len(b.full) - 1
	return last*blockSize + len(b.full[last])
}

func (b *blocks[S]) at(i int32) S { return b.full[i/blockSize][i%blockSize] }

func (b *blocks[S]) add(s S) {
	if b.len()%blockSize == 0 {
		b.full = append(b.full, make([]S, 0, blockSize))
	}
	last := len(b.full) - 1
	b.full[last] = append(b.full[last], s)
}

// An index finds the number of a state. It keeps numbers only, the states lie with the explorer: a Go map would hold
// each of millions of them twice.
type index[S comparable] struct {
	seed  maphash.Seed
	slots []int32 // number + 1; zero is free
	used  int
}

func newIndex[S comparable]() *index[S] {
	return &index[S]{seed: maphash.MakeSeed(), slots: make([]int32, 1<<16)}
}

// find returns the number of s. An unknown state gets the next number, under which the caller has to append it.
func (x *index[S]) find(s S, states *blocks[S]) (at int32, known bool) {
	if 2*x.used >= len(x.slots) {
		x.grow(states)
	}
	for k := x.start(s); ; k = (k + 1) & (len(x.slots) - 1) {
		switch n := x.slots[k]; {
		case n == 0:
			x.used++
			x.slots[k] = int32(states.len()) + 1
			return int32(states.len()), false
		case states.at(n-1) == s:
			return n - 1, true
		}
	}
}

func (x *index[S]) start(s S) int {
	return int(maphash.Comparable(x.seed, s) & uint64(len(x.slots)-1))
}

func (x *index[S]) grow(states *blocks[S]) {
	x.slots = make([]int32, 2*len(x.slots))
	for i := range states.len() {
		k := x.start(states.at(int32(i)))
		for x.slots[k] != 0 {
			k = (k + 1) & (len(x.slots) - 1)
		}
		x.slots[k] = int32(i) + 1
	}
}
