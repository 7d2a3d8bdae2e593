package history

import "github.com/tasktier/tasktier/task"

// canceled: what an operator was told holds.
func (c *check) canceled(d *dossier) {
	for i := range d.wants {
		w := &d.wants[i]
		switch {
		case w.answered == 0:
		case w.state == task.Canceled:
			c.unstarted(d, w)
		case w.asked:
			c.ending(d, w)
		}
	}
}

// unstarted: what is canceled does not start, of no generation but one that was replayed later.
func (c *check) unstarted(d *dossier, w *cancellation) {
	for i := range d.runs {
		r := &d.runs[i]
		if r.start > w.answered && !d.replayed(w.at, r) && !c.forgot(w.at, r.start) && !c.undead(r.process, r.start) && !c.without(r) {
			c.wrong(CanceledStays, d, "run %s starts after it was canceled at %s", r, w.answered)
			return
		}
	}
}

// ending: of a task that was asked to end while it ran, no other run starts than the one that was meant; that may have
// been about to.
func (c *check) ending(d *dossier, w *cancellation) {
	meant := false
	for i := range d.runs {
		if r := &d.runs[i]; r.start <= w.answered && (r.end == 0 || r.end >= w.at) {
			meant = true
		}
	}
	for i := range d.runs {
		r := &d.runs[i]
		if r.start <= w.answered || d.replayed(w.at, r) || c.forgot(w.at, r.start) || c.undead(r.process, r.start) || c.without(r) {
			continue
		}
		if meant {
			c.wrong(CanceledStays, d, "run %s starts after the one before was asked at %s to end", r, w.answered)
			return
		}
		meant = true
	}
}

// without says whether a run may have been started without asking Redis.
func (c *check) without(r *run) bool { return c.proceeded(r, r) }

// replayed says whether a run is of a generation that was replayed after a moment: a later wish.
func (d *dossier) replayed(after Moment, r *run) bool {
	if r.generation == 0 {
		return false
	}
	for i := range d.records {
		o := &d.records[i]
		if o.topic.role == pending && o.generation == r.generation && o.turn == 1 && o.appended.Add(1000) > after {
			return true
		}
	}
	for _, deed := range d.replays {
		if deed.generation == r.generation && deed.at > after {
			return true
		}
	}
	return false
}
