package storm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/task"
	"github.com/tasktier/tasktier/test/history"
)

// A summary is what a storm shows, over all its rounds.
type summary struct {
	rounds               []string
	tasks, acknowledged  int
	runs, faults, killed int
	died, paused         int
	replays, cancels     int
	violations           int
	ends                 map[task.State]int
	repeats              map[history.Excuse]int
	kinds                map[string]int
	lateness, takeovers  []time.Duration
}

func (s *summary) add(t *testing.T, r round, o outcome, report history.Report) {
	t.Helper()
	if s.ends == nil {
		s.ends, s.repeats, s.kinds = make(map[task.State]int), make(map[history.Excuse]int), make(map[string]int)
	}
	m, err := measure(history.Read(o.dir))
	must(t, err)
	violations := 0
	for _, n := range report.Violated {
		violations += n
	}
	s.rounds = append(s.rounds, fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d |", r.kind, r.seed, report.Tasks, report.Runs, m.faults, report.Killed+report.Died, violations))
	s.tasks += report.Tasks
	s.acknowledged += report.Acknowledged
	s.runs += report.Runs
	s.faults += m.faults
	s.killed += report.Killed
	s.died += report.Died
	s.paused += report.Paused
	s.replays += report.Replays
	s.cancels += report.Cancels
	s.violations += violations
	merge(s.ends, report.Ends)
	merge(s.repeats, report.Repeats)
	merge(s.kinds, m.kinds)
	s.lateness = append(s.lateness, m.lateness...)
	s.takeovers = append(s.takeovers, m.takeovers...)
}

func merge[K comparable](into, from map[K]int) {
	for k, n := range from {
		into[k] += n
	}
}

// String is the summary in Markdown.
func (s *summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| round | seed | tasks | runs | faults | processes that died | violations |\n|---|---|---|---|---|---|---|\n%s\n\n", strings.Join(s.rounds, "\n"))
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	b.WriteString("| | |\n|---|---|\n")
	row("tasks sent", "%d, of which %d acknowledged", s.tasks, s.acknowledged)
	row("ended", "%s", counts(s.ends))
	row("runs", "%d", s.runs)
	row("repeated", "%s", counts(s.repeats))
	row("replays and cancellations", "%d, %d", s.replays, s.cancels)
	row("processes killed, died of a task, paused", "%d, %d, %d", s.killed, s.died, s.paused)
	row("faults", "%d: %s", s.faults, counts(s.kinds))
	row("late, of tasks with a time", "%s", percentiles(s.lateness))
	row("from the death of a process until what it ran runs again", "%s", percentiles(s.takeovers))
	row("violations", "%d", s.violations)
	return b.String()
}

func counts[K ~string](of map[K]int) string {
	var parts []string
	for _, k := range slices.SortedFunc(maps.Keys(of), func(a, b K) int { return cmp.Or(of[b]-of[a], cmp.Compare(a, b)) }) {
		parts = append(parts, fmt.Sprintf("%d %s", of[k], k))
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

func percentiles(of []time.Duration) string {
	if len(of) == 0 {
		return "none"
	}
	slices.Sort(of)
	at := func(q float64) time.Duration { return of[int(q*float64(len(of)-1))].Round(100 * time.Microsecond) }
	return fmt.Sprintf("%d: p50 %s, p90 %s, p99 %s, p99.9 %s, most %s", len(of), at(.5), at(.9), at(.99), at(.999), at(1))
}

// Measures are what a history shows beside what was allowed.
type measures struct {
	faults              int
	kinds               map[string]int
	lateness, takeovers []time.Duration
}

// measure goes through a history.
func measure(events history.Events) (measures, error) {
	m := measures{kinds: make(map[string]int)}
	due, begun := make(map[history.Task]history.Moment), make(map[history.Task]bool)
	running := make(map[string]map[history.Task]bool) // by process
	orphans := make(map[history.Task]history.Moment)  // since when
	counted := make(map[string]bool)                  // faults, by their numbers
	acknowledged := make(map[history.Task]bool)       // before they were due
	for e, err := range events {
		if err != nil {
			return m, err
		}
		switch e.Kind {
		case history.Sent:
			if e.Plan.NotBefore != 0 {
				due[e.Task] = e.Plan.NotBefore
			}
		case history.Acknowledged:
			acknowledged[e.Task] = acknowledged[e.Task] || e.At < due[e.Task]
		case history.Started:
			if at, timed := due[e.Task]; timed && !begun[e.Task] && acknowledged[e.Task] {
				m.lateness = append(m.lateness, e.At.Sub(at))
			}
			begun[e.Task] = true
			if since, is := orphans[e.Task]; is {
				m.takeovers = append(m.takeovers, e.At.Sub(since))
				delete(orphans, e.Task)
			}
			if running[e.Process] == nil {
				running[e.Process] = make(map[history.Task]bool)
			}
			running[e.Process][e.Task] = true
		case history.Ended:
			delete(running[e.Process], e.Task)
		case history.Died:
			for t := range running[e.Target] {
				orphans[t] = e.At
			}
			delete(running, e.Target)
		case history.Fault:
			kind, rest, _ := strings.Cut(e.Name, " #")
			number, _, _ := strings.Cut(rest, " ")
			if !counted[number] {
				counted[number] = true
				m.faults++
				m.kinds[kind]++
			}
		default: // the checker's
		}
	}
	return m, nil
}
