package history

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tasktier/tasktier/task"
)

// A Report is what a check found.
type Report struct {
	// Violations are those that are told, in the order of rules; Violated is how many there are of each rule.
	Violations []Violation
	Violated   map[Rule]int

	Span                        time.Duration // from the first event to the last
	Events, Tasks, Acknowledged int
	Unknown                     int // tasks that were sent, not acknowledged, and never seen
	Runs                        int
	Ends                        map[task.State]int
	Dead                        map[task.Reason]int // deaths by the reason of their letters
	Letters                     int                 // generations that died
	Repeats                     map[Excuse]int      // runs that repeat another one, by what excuses that
	Mistaken                    int                 // tasks that were taken for poison because somebody killed the process that they were alone on
	GoneBack                    int                 // tasks that succeeded and whose claim is an old one
	Faults                      map[string]int      // by their names up to a "#"
	Killed, Died, Stopped       int                 // processes: killed, died because of a task, stopped cleanly
	Paused, Over                int                 // pauses of processes, sessions that ended
	Cancels, Replays            int
	Records, Commits            int
	AtOnce                      map[string]int // the most that ran at once of each limited type
	// How late tasks with a time started: while nothing was broken from 30 s before, and in all. Timed are how many.
	Timed           int
	Late, LateQuiet time.Duration // the worst
	MedianLate      time.Duration

	lateness []lateness
}

type lateness struct {
	late time.Duration
	due  Moment
}

// A Violation is something that was not allowed.
type Violation struct {
	Rule  Rule
	Task  Task // zero: it is no task's
	Text  string
	Story []string // what happened to the task, in order

	of *dossier
}

func newReport() Report {
	return Report{
		Violated: make(map[Rule]int), Ends: make(map[task.State]int), Dead: make(map[task.Reason]int), Repeats: make(map[Excuse]int),
		Faults: make(map[string]int), AtOnce: make(map[string]int),
	}
}

// OK says whether there is no violation.
func (r *Report) OK() bool { return len(r.Violated) == 0 }

// count fills in what is counted at the end, and tells the stories.
func (c *check) count() {
	r := &c.report
	r.Span = c.last.Sub(c.first)
	for _, d := range c.order {
		if d.plan != nil {
			r.Tasks++
		}
		if d.acknowledged() != 0 {
			r.Acknowledged++
		}
		r.Runs += len(d.runs)
		r.Cancels += len(d.wants)
		r.Replays += int(min(d.latest(), 1000))
	}
	for _, f := range c.faults {
		r.Faults[f.kind()]++
	}
	for _, p := range c.processes {
		switch {
		case p.killed:
			r.Killed++
		case p.died:
			r.Died++
		case p.stopped:
			r.Stopped++
		}
		r.Paused += len(p.pauses)
		r.Over += len(p.overs)
	}
	for _, seen := range c.commits {
		r.Commits += len(seen)
	}
	c.howLate()
	for i := range r.Violations {
		if v := &r.Violations[i]; v.of != nil {
			v.Story = c.story(v.of)
		}
	}
	slices.SortStableFunc(r.Violations, func(a, b Violation) int { return cmp.Compare(a.Rule, b.Rule) })
}

// calm is how long a fault must be over, and things must run without, before lateness is nobody else's.
const calm = 30 * time.Second

func (c *check) howLate() {
	r := &c.report
	if r.Timed = len(r.lateness); r.Timed == 0 {
		return
	}
	for _, l := range r.lateness {
		r.Late = max(r.Late, l.late)
		if l.late > r.LateQuiet && !c.troubled(l.due.Add(-calm), l.due.Add(l.late)) {
			r.LateQuiet = l.late
		}
	}
	slices.SortFunc(r.lateness, func(a, b lateness) int { return cmp.Compare(a.late, b.late) })
	r.MedianLate = r.lateness[r.Timed/2].late
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%d events in %s\n", r.Events, r.Span.Round(time.Millisecond))
	fmt.Fprintf(w, "%d tasks: %d acknowledged, %d of which nobody knows\n", r.Tasks, r.Acknowledged, r.Unknown)
	fmt.Fprintf(w, "ended: %s; deaths: %s\n", list(r.Ends), list(r.Dead))
	fmt.Fprintf(w, "%d runs; repeated: %s\n", r.Runs, list(r.Repeats))
	fmt.Fprintf(w, "%d replays, %d cancellations; %d taken for poison, %d with an old claim\n", r.Replays, r.Cancels, r.Mistaken, r.GoneBack)
	fmt.Fprintf(w, "%d tasks with a time: late by %s (half of them), %s at most; %s while nothing was broken\n", r.Timed, r.MedianLate, r.Late, r.LateQuiet)
	fmt.Fprintf(w, "at once of limited types: %s\n", list(r.AtOnce))
	fmt.Fprintf(w, "%d records, %d commits, %d letters\n", r.Records, r.Commits, r.Letters)
	fmt.Fprintf(w, "processes: %d killed, %d died of a task, %d stopped; %d pauses, %d sessions over\n", r.Killed, r.Died, r.Stopped, r.Paused, r.Over)
	total := 0
	for _, n := range r.Faults {
		total += n
	}
	fmt.Fprintf(w, "%d faults: %s\n", total, list(r.Faults))
	if r.OK() {
		fmt.Fprintln(w, "no violation")
		return
	}
	fmt.Fprintf(w, "VIOLATIONS: %s\n", list(r.Violated))
	for _, v := range r.Violations {
		fmt.Fprintf(w, "\n%s", v)
	}
}

func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", v.Rule)
	if v.Task != (Task{}) {
		fmt.Fprintf(&b, "%s: ", v.Task)
	}
	fmt.Fprintln(&b, v.Text)
	for _, line := range v.Story {
		fmt.Fprintln(&b, "  "+line)
	}
	return b.String()
}

// list is a count of things, the most frequent first.
func list[K ~string](counts map[K]int) string {
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b K) int {
		return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b))
	})
	var parts []string
	for _, k := range keys {
		name := string(k)
		if name == "" {
			name = "not at all"
		}
		parts = append(parts, fmt.Sprintf("%d %s", counts[k], name))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
