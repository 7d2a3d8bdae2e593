package history

import (
	"cmp"
	"fmt"
	"slices"
)

// A line of a story.
type line struct {
	at   Moment
	text string
}

// story tells what happened to a task, and to the processes that ran it, in the order of time.
func (c *check) story(d *dossier) []string {
	var lines []line
	add := func(at Moment, format string, args ...any) {
		lines = append(lines, line{at, fmt.Sprintf(format, args...)})
	}
	for _, s := range d.sends {
		add(s.at, "sent, meant to be %+v", *d.plan)
		if s.acked != 0 {
			add(s.acked, "acknowledged")
		}
	}
	seen := make(map[*process]bool)
	for i := range d.runs {
		r := &d.runs[i]
		add(r.start, "run %s starts", r)
		if r.end != 0 {
			add(r.end, "run %s has %s; its context: %q", r, r.outcome, r.cause)
		}
		if r.recorded != 0 {
			add(r.recorded, "the end of run %s is recorded", r)
		}
		if !seen[r.process] {
			seen[r.process] = true
			c.lived(r.process, add)
		}
	}
	for _, w := range d.wants {
		add(w.at, "an operator cancels it")
		if w.answered != 0 {
			add(w.answered, "it was %s and is %s, asked to end: %t", w.before, w.state, w.asked)
		}
	}
	for _, r := range d.replays {
		add(r.at, "replayed as generation %d", r.generation)
	}
	for _, p := range d.purges {
		add(p.at, "the letter of generation %d is given up", p.generation)
	}
	for i := range d.records {
		c.lay(&d.records[i], add)
	}
	for _, f := range c.faults {
		if f.forgets != Nothing {
			add(f.from, "fault %q: %s has forgotten by %s (%s)", f.name, f.server, f.to, f.forgets)
		}
	}
	if f := d.claim; f != nil {
		add(c.last, "its claim says %s %d.%d, fence %d, since %s, with result %q", f.state, f.generation, f.turn, f.fence, f.finished, f.result)
	} else if c.collected["claims"] {
		add(c.last, "it has no claim")
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	told := make([]string, len(lines))
	for i, l := range lines {
		told[i] = l.at.String() + " " + l.text
	}
	return told
}

// lived tells what happened to a process.
func (c *check) lived(p *process, add func(Moment, string, ...any)) {
	for _, pause := range p.pauses {
		add(pause.from, "process %s is paused", p.name)
		add(pause.to, "process %s goes on", p.name)
	}
	for _, at := range p.overs {
		add(at, "process %s has lost its session", p.name)
	}
	switch {
	case p.killed:
		add(p.death.from, "process %s is killed, and dead at %s", p.name, p.death.to)
	case p.died:
		add(p.death.to, "process %s is found dead", p.name)
	case p.stopped:
		add(p.death.to, "process %s has stopped", p.name)
	}
}

// lay tells of a record.
func (c *check) lay(r *record, add func(Moment, string, ...any)) {
	at := fmt.Sprintf("%s/%d/%d", r.topic.name, r.partition, r.offset)
	switch {
	case r.tombstone:
		add(r.appended, "the letter of generation %d is taken away at %s", r.generation, at)
	case r.topic.role == dead:
		add(r.appended, "the letter of generation %d is written at %s: %s", r.generation, at, r.reason)
	case r.due != 0:
		add(r.appended, "record %d.%d.%d is written at %s, due %s", r.generation, r.turn, r.attempt, at, r.due)
	default:
		add(r.appended, "record %d.%d.%d is written at %s", r.generation, r.turn, r.attempt, at)
	}
	if r.passed != 0 {
		add(r.passed, "the record at %s is seen below the committed offset", at)
	}
}

// String names a run: its generation, turn and attempt, its process and its fence.
func (r *run) String() string {
	return fmt.Sprintf("%d.%d.%d of %s (fence %d)", r.generation, r.turn, r.attempt, r.process.name, r.fence)
}

// state says how far a run was at a moment.
func (r *run) state(at Moment) string {
	switch {
	case r.end == 0:
		return "was running"
	case r.end > at:
		return fmt.Sprintf("ran until %s", r.end)
	default:
		return fmt.Sprintf("had %s at %s", r.outcome, r.end)
	}
}
