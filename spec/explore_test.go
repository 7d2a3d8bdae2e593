package spec

import (
	"slices"
	"strings"
	"testing"
)

// A graph is a system that is written down: from each number to others, in brackets those that need luck.
type graph struct {
	ways  map[int][]int
	lucky map[int][]int
	bad   int
	end   int
}

func (g graph) first() int { return 1 }

func (g graph) steps(s int, emit func(step[int])) {
	for _, to := range g.ways[s] {
		emit(step[int]{label: label{what: string(rune('a' + to))}, to: to})
	}
	for _, to := range g.lucky[s] {
		emit(step[int]{label: label{what: "luck"}, to: to, optional: true})
	}
}

func (g graph) wrong(s int) string {
	if s == g.bad {
		return "bad"
	}
	return ""
}

func (g graph) quiet(s int) bool      { return s == g.end }
func (g graph) describe(s int) string { return string(rune('a' + s)) }

func TestExplore(t *testing.T) {
	for _, tt := range []struct {
		name      string
		graph     graph
		violation string
		trace     []string
	}{
		{"sound", graph{ways: map[int][]int{1: {2, 3}, 2: {1, 4}, 3: {1}}, end: 4}, "", nil},
		{"the shortest trace", graph{ways: map[int][]int{1: {2, 3}, 2: {4}, 4: {5}, 3: {5}}, bad: 5}, "bad", []string{"d", "f", "= f"}},
		{"a dead end", graph{ways: map[int][]int{1: {2, 3}}, end: 3}, "stuck", []string{"c", "= c"}},
		{"a circle", graph{ways: map[int][]int{1: {2, 4}, 2: {3}, 3: {2}}, end: 4}, "stuck", []string{"c", "= c"}},
		{"a way out that needs luck", graph{ways: map[int][]int{1: {2}}, lucky: map[int][]int{2: {3}}, end: 3}, "stuck", []string{"= b"}},
		{"luck leads astray", graph{ways: map[int][]int{1: {3}}, lucky: map[int][]int{1: {2}}, end: 3}, "stuck", []string{"luck", "= c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := explore(tt.graph)
			if !strings.HasPrefix(got.violation, tt.violation) || tt.violation == "" && got.violation != "" {
				t.Errorf("found %q, want %q", got.violation, tt.violation)
			}
			if !slices.Equal(got.trace, tt.trace) {
				t.Errorf("the way there is %q, want %q", got.trace, tt.trace)
			}
		})
	}
}

// What was not seen to its end is no success.
func TestExploreGivesUpInTime(t *testing.T) {
	endless := graph{ways: map[int][]int{}}
	for i := range 1000 {
		endless.ways[i] = []int{i + 1}
	}
	got := exploreUpTo(endless, 100)
	if !strings.HasPrefix(got.violation, "not exhausted") || got.states > 110 {
		t.Errorf("found %q after %d states", got.violation, got.states)
	}
}

// A state has one form: who of two alike does what, the order of records and the size of run numbers make no difference.
func TestCanonical(t *testing.T) {
	a, b := state{left: budget{uncommit: 1}}, state{left: budget{uncommit: 1}}
	a.slots[0] = slot{phase: handling, rec: record{0, 1, 1}, run: 3}
	b.slots[1] = slot{phase: handling, rec: record{0, 1, 1}, run: 7}
	a.claim, b.claim = claim{state: running, run: 5}, claim{state: running, run: 9}
	a.drawn, b.drawn = 5, 9
	for i, r := range []record{{0, 1, 1}, {0, 2, 1}, {1, 1, 1}} {
		a.deliver(r)
		a.done[i] = r
		b.avail[len(b.avail)-1-i] = r
		b.done[2*i] = r
	}
	a.canonical()
	b.canonical()
	if a != b {
		t.Errorf("alike, but\n%+v\n%+v", a, b)
	}
	b.claim.run = b.slots[0].run
	b.canonical()
	if a == b {
		t.Error("a claim of this run and one of another look the same")
	}
}
