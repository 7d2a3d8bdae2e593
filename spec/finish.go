package spec

// mayWrite says whether the run of a slot may still write its claim: when the claim is this run's; or, in a trusted
// session, when Redis must have forgotten this run, because the claim is missing, older, or waits for this very turn.
func (w *walk) mayWrite(i int) bool {
	c, n := w.s.claim, w.s.slots[i]
	if c.state == running && c.run == n.run {
		return true
	}
	if w.defect == finishWithoutCompare {
		return true
	}
	l := w.s.procs[home[i]].life
	trusted := w.s.trusted(i) || w.defect == trustUnregistered && l == unregistered || w.defect == trustLapsed && l == lapsed
	return trusted && (c.state == missing || c.before(n.rec) || c.waits() && !c.after(n.rec))
}

// checkWrite notes a write of slot i over a claim that is neither its own run's nor forgotten.
func (w *walk) checkWrite(s *state, i int) {
	c, n := w.s.claim, w.s.slots[i]
	if c.run == n.run && c.state != missing {
		return
	}
	if !w.s.trusted(i) || c.state != missing && !c.before(n.rec) && (c.after(n.rec) || !c.waits()) {
		s.broken = overwrote
	}
}

// finish writes what became of the turn.
func (w *walk) finish(i int) {
	to := w.s
	n := &to.slots[i]
	c := w.s.claim
	if c.run == n.run && c.state == w.recorded(i) {
		n.phase = settled
		w.step(w.by(i, "finds its result written"), to)
		return
	}
	if !w.mayWrite(i) {
		w.lose(&to, i)
		w.step(w.by(i, "finishes: lost"), to)
		return
	}
	w.checkWrite(&to, i)
	next := claim{state: w.recorded(i), g: n.rec.g, t: n.rec.t, run: n.run}
	switch next.state {
	case succeeded:
		to.succeeded |= bit(n.rec.g)
	case retrying, pending:
		next.t++
		next.a, next.crashes = n.rec.a, c.crashes
		if next.state == retrying {
			next.a++
		} else if w.defect == snoozeKeepsTurn {
			next.t--
		}
		to.over[n.rec.g] = max(to.over[n.rec.g], n.rec.t)
	default:
	}
	if w.defect == fenceRestarts && !next.finished() {
		next.run = 0
	}
	to.write(next)
	n.phase = settled
	w.call(i, "finishes", to)
}

// recorded is the state that the claim gets by the slot's outcome. The cancel bit turns all but a success and a death.
func (w *walk) recorded(i int) claimState {
	c, n := w.s.claim, w.s.slots[i]
	told := c.run == n.run && (c.cancel || c.state == canceled) && w.defect != cancelForgotten
	switch {
	case n.outcome == success:
		return succeeded
	case n.outcome == stopped || told:
		return canceled
	case n.outcome == failure:
		return retrying
	default:
		return pending
	}
}

// lose discards a result that must not be written. The record begins again: only a verdict completes its offset.
func (w *walk) lose(s *state, i int) {
	n := s.slots[i]
	if w.defect == lostCompletes {
		s.slots[i].phase = settled
		return
	}
	s.slots[i] = slot{}
	if n.owns {
		s.slots[i] = slot{phase: asking, rec: n.rec, owns: true, former: n.former, copied: n.copied}
	}
}

// release gives back what was won and not started, or what stopped without an outcome: pending at the same turn, no
// attempt used, no crash counted. It compares with the run, so that a retried release can't take what was begun since.
func (w *walk) release(i int) {
	to := w.s
	c, n := w.s.claim, w.s.slots[i]
	mine := c.state == running && c.run == n.run
	if w.defect == releaseWithoutRun {
		mine = c.state == running && c.owner == home[i]
	}
	if !mine {
		to.drop(i)
		w.step(w.by(i, "has nothing to release"), to)
		return
	}
	w.checkWrite(&to, i)
	next := claim{state: pending, g: n.rec.g, t: n.rec.t, a: n.rec.a, run: n.run, crashes: c.crashes}
	if c.cancel && w.defect != releaseForgetsCancel {
		next = claim{state: canceled, g: n.rec.g, t: n.rec.t, run: n.run}
	}
	to.write(next)
	if w.defect == releaseCompletes {
		to.complete(i)
	}
	to.drop(i)
	w.call(i, "releases", to)
}
