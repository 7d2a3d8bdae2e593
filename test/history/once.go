package history

// once: every two runs of a task, in the order of their starts, follow each other or have an excuse. It counts what was
// run again, and why.
func (c *check) once(d *dossier) {
	for j := range d.runs {
		b := &d.runs[j]
		var why Excuse
		for i := range j {
			a := &d.runs[i]
			if follows(a, b, d.key() != "") {
				continue
			}
			excuse := c.excuse(a, b)
			if excuse == "" {
				c.wrong(DoneOnce, d, "run %s follows run %s, which %s", b, a, a.state(b.start))
				break
			}
			why = excuse
		}
		if why != "" {
			c.report.Repeats[why]++
		}
	}
}

// back: generations and turns don't go back.
func (c *check) back(d *dossier) {
	for j := 1; j < len(d.runs); j++ {
		for i := range j {
			a, b := &d.runs[i], &d.runs[j]
			if b.before(a.generation, a.turn) && !c.unruly(a, b) {
				c.wrong(NeverBack, d, "run %s starts after run %s", b, a)
				break
			}
		}
	}
}

// fences: they grow. What is tried again in place does so under the same.
func (c *check) fences(d *dossier) {
	for j := 1; j < len(d.runs); j++ {
		for i := range j {
			a, b := &d.runs[i], &d.runs[j]
			inPlace := b.fence == a.fence && b.process == a.process && d.key() != "" && follows(a, b, true)
			if b.fence <= a.fence && b.fence > 0 && !inPlace && !c.unruly(a, b) {
				c.wrong(FencesGrow, d, "fence %d starts after fence %d", b.fence, a.fence)
				break
			}
		}
	}
}

// unruly says whether run b, which started after a, may stand for less than a: claims that put them in order were
// forgotten, or not asked, or b is a zombie's.
func (w *world) unruly(a, b *run) bool {
	return w.forgot(a.start, b.start) || w.proceeded(a, b) || w.undead(b.process, b.start)
}
