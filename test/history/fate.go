package history

import (
	"slices"

	"github.com/tasktier/tasktier/task"
)

// fate: the task ends in exactly one of succeeded, dead and canceled, as it was meant to.
func (c *check) fate(d *dossier) {
	if d.acknowledged() == 0 && len(d.runs)+len(d.records) == 0 {
		c.report.Unknown++
		return
	}
	state := c.end(d)
	c.report.Ends[state]++
	if state == task.Succeeded {
		g := d.latest()
		if d.claim != nil {
			g = d.claim.generation
		}
		if reason := d.plan.ends(int(g)); reason != "" && reason != task.ReasonExpired {
			c.wrong(NothingLost, d, "it succeeded, and was meant to die as %s", reason)
		}
	}
	if f, g := d.claim, d.latest(); f != nil && f.state.Terminal() && f.generation < g && !c.forgot(d.since(), c.last) {
		c.wrong(NothingLost, d, "it is %s in generation %d, and generation %d did not end", f.state, f.generation, g)
	}
	for _, r := range d.replays {
		if d.latest() < r.generation && c.logsKnown() {
			c.wrong(NothingLost, d, "it was replayed as generation %d, and nothing is known of that", r.generation)
		}
	}
}

// end is the state in which the task ended; "" and a violation if it did not.
func (c *check) end(d *dossier) task.State {
	f := d.claim
	switch {
	case f == nil && c.collected["claims"] && !c.forgot(d.since(), c.last) && c.rules.Window == 0 && d.claimed():
		c.wrong(NothingLost, d, "it has no claim, though Redis forgot nothing")
	case f == nil:
	case f.state == task.Succeeded:
		if d.letter(f.generation) != nil && !c.forgot(d.since(), c.last) {
			c.wrong(NothingLost, d, "it succeeded and is dead")
		}
		return f.state // that a run did is looked at with the zombies
	case f.state == task.Dead:
		if d.letter(f.generation) == nil && c.knows(dead) && !d.purged(f.generation) && d.latest() == f.generation {
			c.wrong(NothingLost, d, "it is dead and has no letter")
		}
		return f.state
	case f.state == task.Canceled:
		if len(d.wants) == 0 {
			c.wrong(NothingLost, d, "it is canceled and nobody asked for that")
		}
		if r := c.won(d); r != nil && !c.forgot(d.since(), c.last) && !c.proceeded(r, r) {
			c.wrong(CanceledStays, d, "it is canceled, though run %s had succeeded", r)
		}
		return f.state
	case c.goneBack(d):
		c.report.GoneBack++
		return task.Succeeded
	default:
		c.wrong(NothingLost, d, "it is still %s", f.state)
		return ""
	}
	// Nobody knows but those who saw it.
	switch {
	case c.won(d) != nil || slices.ContainsFunc(d.runs, func(r run) bool { return r.answer() == success && d.letter(r.generation) == nil }):
		if r := c.won(d); r != nil && d.letter(r.generation) != nil && !c.forgot(d.since(), c.last) {
			c.wrong(NothingLost, d, "it succeeded and is dead")
		}
		return task.Succeeded
	case d.letter(d.latest()) != nil || d.purged(d.latest()):
		return task.Dead
	case slices.ContainsFunc(d.wants, func(w cancellation) bool { return w.state == task.Canceled || w.asked || w.answered == 0 }):
		return task.Canceled
	}
	c.wrong(NothingLost, d, "it did not end")
	return ""
}

// claimed says whether the task must have had a claim: what can't be obeyed has none.
func (d *dossier) claimed() bool {
	return d.plan.End != task.ReasonUndecodable && d.plan.End != task.ReasonInvalid
}

// won is a run that succeeded and counts in any case: nothing happened that could have kept its node from recording that.
func (c *check) won(d *dossier) *run {
	for i := range d.runs {
		if r := &d.runs[i]; r.answer() == success && !over(r.cause) && c.lost(r) == nil && !c.died(r) {
			return r
		}
	}
	return nil
}

// goneBack says whether the claim of a task that succeeded may be an old one that came back: a replica took over, or Redis
// had a snapshot. It says so until it is forgotten, unless the task is delivered again.
func (c *check) goneBack(d *dossier) bool {
	return slices.ContainsFunc(d.runs, func(r run) bool {
		return r.answer() == success && slices.ContainsFunc(c.faults, func(f *fault) bool {
			return f.server == "redis" && f.forgets == RolledBack && r.end <= f.to.Add(c.rules.Unrecorded) && f.to >= r.start
		})
	})
}

// since is when the task was first heard of.
func (d *dossier) since() Moment {
	if len(d.sends) > 0 {
		return d.sends[0].at
	}
	return 0
}

func (d *dossier) purged(generation int32) bool {
	return slices.ContainsFunc(d.purges, func(p deed) bool { return p.generation == generation })
}

// knows says whether all topics of a role that there were records of, or all that are named, have been read to their ends.
func (c *check) knows(of role) bool {
	for name := range c.collected {
		if newTopic(name).role == of {
			return true
		}
	}
	return false
}

// logsKnown says whether all that is in Kafka was told.
func (c *check) logsKnown() bool { return c.knows(pending) && c.knows(tier) && c.knows(dead) }

// intact: what lies in the logs is what was sent.
func (c *check) intact(d *dossier) {
	for i := range d.records {
		if r := &d.records[i]; !r.tombstone && r.hash != d.hash {
			c.wrong(Intact, d, "the payload at %s/%d/%d is not the one that was sent", r.topic.name, r.partition, r.offset)
			return
		}
	}
}
