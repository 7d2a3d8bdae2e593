package history

import "github.com/tasktier/tasktier/task"

// grain is how exact the broker's times are.
const grain = 1000

// passed: when a committed offset passed a record, its task had ended, or another record was there to go on with; whether
// that was passed in its turn is looked at there. A commit counts from when an observer has seen it, which is later than it
// was made: what is told in between is believed.
func (c *check) passed(d *dossier) {
	for i := range d.records {
		r := &d.records[i]
		if r.passed == 0 || r.topic.role == dead {
			continue
		}
		if ended := c.ended(d, r.generation); ended != 0 && ended <= r.passed+grain {
			continue
		}
		if !d.covered(r) {
			c.wrong(Offsets, d, "the record %d.%d at %s/%d/%d was passed by %s, and was not done", r.generation, r.turn, r.topic.name, r.partition, r.offset, r.passed)
			return
		}
	}
}

// covered says whether another record was there to go on with when r was passed: of a later turn, or a copy that was
// written after it. What was written before it r is itself a copy of, and nobody goes on with that.
func (d *dossier) covered(r *record) bool {
	for i := range d.records {
		o := &d.records[i]
		var goesOn bool
		switch {
		case o == r || o.tombstone || o.appended > r.passed:
		case o.generation != r.generation:
			goesOn = o.generation > r.generation
		case o.topic.role == dead || o.turn > r.turn:
			goesOn = true
		default:
			goesOn = o.turn == r.turn && o.appended >= r.appended
		}
		if goesOn {
			return true
		}
	}
	return false
}

// ended is the earliest moment at which the task had ended in a generation or a later one; 0 if it did not.
func (c *check) ended(d *dossier, generation int32) (first Moment) {
	note := func(at Moment) {
		if at != 0 && (first == 0 || at < first) {
			first = at
		}
	}
	for i := range d.runs {
		r := &d.runs[i]
		if r.generation >= generation && r.answer() == success && c.counted(d, r) {
			note(r.end)
		}
	}
	for i := range d.records {
		if r := &d.records[i]; r.topic.role == dead && !r.tombstone && r.generation >= generation {
			note(r.appended)
		}
	}
	for i := range d.wants {
		if w := &d.wants[i]; w.state == task.Canceled {
			note(w.at)
		}
	}
	if f := d.claim; f != nil && f.state.Terminal() && f.generation >= generation {
		note(f.finished.Add(-c.ahead(f.finished))) // by the clock of the node that wrote it
	}
	return first
}

// counted says whether a success may have been recorded. That of a run whose process died, or lost its session, at its end
// may not have been: then the claim tells when its task ended, if there is one and Redis forgot nothing.
func (c *check) counted(d *dossier, r *run) bool {
	return d.claim == nil || c.forgot(r.start, c.last) || c.lost(r) == nil && !c.died(r)
}
