package spec

// intendToBury writes the intent, the only step of a death that another's run could contradict: whoever has it written
// owns the grave, and no run of this generation begins again.
func (w *walk) intendToBury(i int) {
	to := w.s
	n := &to.slots[i]
	c := w.s.claim
	switch {
	case w.defect == letterBeforeIntent:
		to.letters |= bit(n.rec.g)
		n.phase = lettered
		w.step(w.by(i, "sends a letter without intent"), to)
	case c.state == dying && c.run == n.run:
		n.phase, n.grave = intended, c.g
		w.step(w.by(i, "finds its intent written"), to)
	case !w.mayWrite(i):
		w.lose(&to, i)
		w.step(w.by(i, "may not bury: lost"), to)
	default:
		w.checkWrite(&to, i)
		to.write(claim{state: dying, g: n.rec.g, t: n.rec.t, run: n.run, owner: home[i], former: n.former, crashes: c.crashes})
		n.phase, n.grave = intended, n.rec.g
		w.call(i, "writes the intent to bury", to)
	}
}

// intend makes the slot the one that buries: what it found dying, or what is poison. It runs nothing; reason and error
// are in the details.
func (w *walk) intend(s *state, i int, c claim, crashes int8) {
	n := &s.slots[i]
	n.run = w.draw(s)
	n.born = s.procs[home[i]].life == registered
	n.phase, n.grave = intended, c.g
	next := claim{state: dying, g: c.g, t: c.t, run: n.run, owner: home[i], crashes: c.crashes}
	if c.state == running {
		next.t, next.crashes = max(c.t, n.rec.t), crashes
	}
	s.write(next)
}

// writeLetter is safe to repeat: its key is the identity and the generation.
func (w *walk) writeLetter(i int) {
	to := w.s
	to.letters |= bit(w.s.slots[i].grave)
	to.slots[i].phase = lettered
	w.step(w.by(i, "writes the letter"), to)
}

// bury ends the death. When the claim is another's by now, the letter is in that other's care or was replayed, and there
// is nothing to write.
func (w *walk) bury(i int) {
	to := w.s
	n := &to.slots[i]
	c := w.s.claim
	own := c.state == dying && c.run == n.run
	n.phase = settled
	if !own && (c.state != missing || !w.s.trusted(i)) {
		w.step(w.by(i, "has buried what is no longer its own"), to)
		return
	}
	next := claim{state: dead, g: n.rec.g, t: n.rec.t, run: n.run}
	if own {
		next.g, next.t = c.g, c.t
	}
	to.buried |= bit(next.g)
	to.write(next)
	w.call(i, "writes dead", to)
}
