package history

import (
	"slices"

	"github.com/tasktier/tasktier/task"
)

// buried: letters say what happened, and come and go as they should.
func (c *check) buried(d *dossier) {
	if !c.knows(dead) {
		return
	}
	latest := d.latest()
	for g := range latest + 1 {
		letters := d.letters(g)
		c.written(d, g, letters)
		if g < latest && len(letters) == 0 {
			c.wrong(Letters, d, "there is a generation %d, and generation %d has no letter", g+1, g)
		}
	}
}

// written looks at the letters of a generation.
func (c *check) written(d *dossier, g int32, letters []*record) {
	var last *record
	for _, r := range letters {
		switch {
		case r.tombstone:
			c.takenAway(d, g, r)
		case last != nil && !last.tombstone && !c.troubled(last.appended, r.appended):
			c.wrong(Letters, d, "generation %d has two letters, at %s and %s, and nothing happened in between", g, last.appended, r.appended)
		case last == nil:
			c.reason(d, g, r)
		}
		last = r
	}
	if len(letters) > 0 {
		c.report.Letters++
	}
}

// takenAway: a letter goes when its task is back in its queue, or an operator gives it up.
func (c *check) takenAway(d *dossier, g int32, r *record) {
	for i := range d.records {
		if o := &d.records[i]; o.topic.role == pending && o.generation > g && o.appended <= r.appended+grain {
			return
		}
	}
	for _, p := range d.purges {
		if p.generation == g && p.at <= r.appended+grain {
			return
		}
	}
	if c.knows(pending) {
		c.wrong(Letters, d, "the letter of generation %d was taken away at %s, and its task was not back in its queue", g, r.appended)
	}
}

// reason: it is the one that the task was meant to die of, and it is true.
func (c *check) reason(d *dossier, g int32, r *record) {
	c.report.Dead[r.reason]++
	meant := d.plan.ends(int(g))
	if r.reason == task.ReasonExpired && d.plan.Expires != 0 {
		meant = r.reason // it may have had no luck
	}
	if r.reason == task.ReasonPoison && meant != r.reason {
		if c.mistaken(d, g) {
			c.report.Mistaken++
			return
		}
		c.wrong(Letters, d, "it died as poison, and took no process down while it was alone there")
		return
	}
	if r.reason != meant {
		if meant == "" {
			meant = "nothing"
		}
		c.wrong(Letters, d, "it died as %s in generation %d, and was meant to die of %s", r.reason, g, meant)
		return
	}
	if !c.borneOut(d, g, r) {
		c.wrong(Letters, d, "it died as %s in generation %d, and nothing of that kind had happened by then", r.reason, g)
	}
}

// borneOut says whether what a letter says has happened.
func (c *check) borneOut(d *dossier, g int32, r *record) bool {
	crashes := 0
	for i := range d.runs {
		run := &d.runs[i]
		if run.generation != g || run.start > r.appended+grain {
			continue
		}
		switch told := run.answer(); r.reason {
		case task.ReasonFailed:
			if told == permanent && run.end <= r.appended+grain {
				return true
			}
		case task.ReasonExhausted:
			if told == failure && int(run.attempt) >= d.plan.MaxAttempts && run.end <= r.appended+grain {
				return true
			}
		case task.ReasonPoison:
			if c.died(run) || c.lost(run) != nil {
				crashes++
			}
		default: // nothing that a run can tell
		}
	}
	switch r.reason {
	case task.ReasonFailed, task.ReasonExhausted:
		return false
	case task.ReasonPoison:
		return crashes > 0 && crashes+c.unseen(d, r.appended) >= c.rules.Crashes
	case task.ReasonExpired:
		return r.appended+grain >= d.plan.Expires.Add(-c.rules.Skew-c.ahead(r.appended))
	default:
		return true
	}
}

// unseen is how many processes ended, or lost their session, since the task was sent, that never started it: it may have
// been begun there, and counts as running then.
func (c *check) unseen(d *dossier, until Moment) (n int) {
	for _, p := range c.processes {
		ended := p.died && p.death.meets(d.since(), until) ||
			slices.ContainsFunc(p.losses, func(l loss) bool { return l.meets(d.since(), until) })
		if ended && !slices.ContainsFunc(d.runs, func(r run) bool { return r.process == p }) {
			n++
		}
	}
	return n
}

// mistaken says whether a task that is no poison may have been taken for it: its last run was the only one of a process
// that was killed from outside, or paused for longer than its lease. Nobody can tell that from a process that the task
// killed, see docs/claims.md.
func (c *check) mistaken(d *dossier, g int32) bool {
	for i := len(d.runs) - 1; i >= 0; i-- {
		r := &d.runs[i]
		if r.generation != g {
			continue
		}
		var until Moment
		if l := c.lost(r); l != nil {
			until = l.from
		}
		if c.died(r) && r.process.killed {
			until = r.process.death.from
		}
		return until != 0 && c.alone(r, max(until, r.start))
	}
	return false
}

// alone says whether nothing else ran on a run's process at a moment.
func (c *check) alone(r *run, at Moment) bool {
	for _, d := range c.order {
		for i := range d.runs {
			o := &d.runs[i]
			same := o.start == r.start && o.fence == r.fence
			if o.process == r.process && !same && o.start < at && (o.end == 0 || o.end > at) {
				return false
			}
		}
	}
	return true
}
