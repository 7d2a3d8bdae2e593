package history

// early: nothing starts before its time, nor comes back from a tier before its due.
func (c *check) early(d *dossier) {
	for i := range d.runs {
		r := &d.runs[i]
		due := d.due(r)
		early := due.Sub(r.start)
		if due != 0 && early > c.rules.Skew && early > c.rules.Skew+c.ahead(r.start) {
			c.wrong(NeverEarly, d, "run %s starts %s before its time", r, early)
		}
		c.late(d, r, due)
	}
	for i := range d.records {
		r := &d.records[i]
		if r.topic.role != pending {
			continue
		}
		due := d.tierDue(r.generation, r.turn, r.appended)
		if r.turn == 1 && due != 0 {
			due = d.plan.NotBefore // it may be there because it was sent again, or handed on for another reason
		}
		if early := due.Sub(r.appended); due != 0 && early > c.rules.Skew && early > c.rules.Skew+c.ahead(r.appended) {
			c.wrong(NeverEarly, d, "it came back %s before its due, to %s/%d/%d", early, r.topic.name, r.partition, r.offset)
		}
	}
}

// due is when a run may start; 0 if it has no time.
func (d *dossier) due(r *run) Moment {
	due := d.plan.NotBefore
	if r.turn > 1 {
		due = max(due, d.tierDue(r.generation, r.turn, r.start))
	}
	return due
}

// tierDue is the earliest due of the records of a turn that were written to a tier before a moment; 0 if there are none.
func (d *dossier) tierDue(g, t int32, before Moment) (due Moment) {
	for i := range d.records {
		r := &d.records[i]
		if r.topic.role == tier && r.generation == g && r.turn == t && r.appended < before && (due == 0 || r.due < due) {
			due = r.due
		}
	}
	return due
}

// late notes how late the first run of a turn is that has a time and was there before it.
func (c *check) late(d *dossier, r *run, due Moment) {
	if due == 0 || r.start < due {
		return
	}
	for i := range d.runs {
		if o := &d.runs[i]; o.start < r.start && o.generation == r.generation && o.turn == r.turn {
			return
		}
	}
	if at := d.acknowledged(); at != 0 && at < due {
		c.report.lateness = append(c.report.lateness, lateness{r.start.Sub(due), due})
	}
}
