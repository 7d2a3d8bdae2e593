package history

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A world is all that did not happen to one task.
type world struct {
	rules       Rules
	first, last Moment
	processes   map[string]*process
	faults      []*fault // by their begin
	open        map[string]*fault
	collected   map[string]bool
	commits     map[place][]commit
}

// A fault is something broken, from when it may have been on until it was surely over.
type fault struct {
	name, server, target string
	forgets              Forgets
	step                 time.Duration
	span
}

type span struct{ from, to Moment }

func (s span) meets(from, to Moment) bool { return s.from <= to && from <= s.to }

// A place is a partition.
type place struct {
	topic     string
	partition int32
}

// A commit is an offset that an observer saw at a moment first.
type commit struct {
	offset int64
	at     Moment
}

func newWorld(rules Rules) *world {
	return &world{
		rules: rules, processes: make(map[string]*process), open: make(map[string]*fault),
		collected: make(map[string]bool), commits: make(map[place][]commit),
	}
}

func (w *world) process(name string) *process {
	p := w.processes[name]
	if p == nil {
		p = &process{name: name}
		w.processes[name] = p
	}
	return p
}

func (w *world) fault(e *Event) {
	if e.Kind == Fault {
		f := &fault{
			name: e.Name, server: e.Server, target: e.Target, forgets: e.Forgets,
			step: time.Duration(e.Step) * time.Microsecond, span: span{from: e.At},
		}
		w.faults = append(w.faults, f)
		w.open[e.Name] = f
		return
	}
	if f := w.open[e.Name]; f != nil {
		f.to = e.At
		f.forgets = max(f.forgets, e.Forgets) // it may be known only now
		delete(w.open, e.Name)
	}
}

func (w *world) committed(e *Event) {
	at := place{e.Topic, e.Partition}
	seen := w.commits[at]
	if n := len(seen); n > 0 && seen[n-1].offset >= e.Offset {
		return // the same; or the group's offsets went back, and what was passed was passed
	}
	w.commits[at] = append(seen, commit{offset: e.Offset, at: e.At})
}

// settle closes what was open, when all has been read.
func (w *world) settle() {
	for _, f := range w.open {
		f.to = w.last
	}
	slices.SortFunc(w.faults, func(a, b *fault) int { return cmp.Compare(a.from, b.from) })
	for _, p := range w.processes {
		p.settle(w)
	}
}

// kind is a fault's name without what tells it from others: "kill redis #12" is a "kill redis".
func (f *fault) kind() string {
	kind, _, _ := strings.Cut(f.name, "#")
	return strings.TrimSpace(kind)
}

// hits says whether a fault is one of a server's that a process sees.
func (f *fault) hits(server string, p *process) bool {
	return f.server == server && (f.target == "" || f.target == p.name)
}

// ahead is by how much a clock was ahead by which something could have come early that was seen at a moment.
func (w *world) ahead(at Moment) (most time.Duration) {
	for _, f := range w.faults {
		if f.step > most && f.meets(at.Add(-f.step), at) {
			most = f.step
		}
	}
	return most
}

// forgot says whether Redis forgot between two moments.
func (w *world) forgot(from, to Moment) bool {
	return slices.ContainsFunc(w.faults, func(f *fault) bool {
		return f.server == "redis" && f.forgets != Nothing && f.meets(from, to)
	})
}

// troubled says whether anything between two moments made somebody do something twice.
func (w *world) troubled(from, to Moment) bool {
	from = from.Add(-w.rules.Unrecorded)
	for _, f := range w.faults {
		if f.meets(from, to) {
			return true
		}
	}
	for _, p := range w.processes {
		if p.died && p.death.meets(from, to) || slices.ContainsFunc(p.losses, func(l loss) bool { return l.meets(from, to) }) {
			return true
		}
	}
	return false
}
