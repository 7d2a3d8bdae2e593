package history

// attempts: each is earned by a failure that a handler told of, and each failure costs one.
func (c *check) attempts(d *dossier) {
	for j := range d.runs {
		b := &d.runs[j]
		earned := b.attempt == 1
		for i := range j {
			a := &d.runs[i]
			if a.generation != b.generation {
				continue
			}
			failed := a.answer() == failure && a.endedBy(b.start)
			earned = earned || failed && a.attempt+1 == b.attempt
			switch {
			case !follows(a, b, d.key() != ""):
			case failed && b.attempt <= a.attempt:
				c.wrong(CrashIsNoFailure, d, "run %s follows run %s, which failed, and is no attempt more", b, a)
			case b.attempt < a.attempt:
				c.wrong(CrashIsNoFailure, d, "run %s follows run %s, and is an attempt less", b, a)
			}
		}
		if !earned {
			c.wrong(CrashIsNoFailure, d, "run %s is attempt %d, and no attempt %d has failed", b, b.attempt, b.attempt-1)
		}
	}
}
