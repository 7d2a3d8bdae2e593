package spec

// poll takes a record. Slots of a process are alike, so one idle slot of each is enough.
func (w *walk) poll(i int) {
	p := w.s.procs[home[i]]
	if p.draining || p.life == lapsed || i == 1 && w.s.slots[0].phase == idle {
		return
	}
	for k, r := range w.s.avail {
		if r.t == 0 || k > 0 && w.s.avail[k-1] == r {
			continue
		}
		to := w.s
		to.avail[k] = record{}
		to.slots[i] = slot{phase: asking, rec: r, owns: true}
		w.step(label{who: names[home[i]], what: "polls", rec: r}, to)
	}
}

// start lets the handler of a run that was won begin, or gives the run back when its partition, session or process goes.
func (w *walk) start(i int) {
	to := w.s
	n := &to.slots[i]
	if !w.s.welcome(i) {
		n.phase = releasing
		if w.defect == drainKeepsClaims {
			to.drop(i)
		}
		w.step(w.by(i, "may not start what it has won"), to)
		return
	}
	for k, other := range w.s.slots {
		if k == i || home[k] != home[i] {
			continue
		}
		if other.exclusive || n.solo && other.phase == handling {
			return // see alone.go, which explores what this is for
		}
	}
	if n.solo && !n.flagged {
		w.flag(i)
		return
	}
	n.phase = handling
	w.step(w.by(i, "starts the handler"), to)
}

// flag writes into the claim that the process has nothing else at work. Only a registered session may: one that etcd does
// not know can be taken for dead while it lives.
func (w *walk) flag(i int) {
	to := w.s
	n := &to.slots[i]
	c := w.s.claim
	switch {
	case w.s.procs[home[i]].life != registered && w.defect != flagUnregistered:
		return
	case c.state != running || c.run != n.run:
		w.lose(&to, i)
		w.step(w.by(i, "finds its run stolen"), to)
	case c.alone:
		n.exclusive, n.flagged = true, true
		w.step(w.by(i, "is alone already"), to)
	default:
		n.exclusive, n.flagged = true, true
		c.alone = true
		to.write(c)
		w.call(i, "writes that it runs alone", to)
	}
}

// handlerReturns has the outcomes of a handler.
func (w *walk) handlerReturns(i int) {
	n := w.s.slots[i]
	end := func(what string, o outcome) {
		to := w.s
		to.slots[i].phase, to.slots[i].outcome = ended, o
		switch o {
		case failure, fatal:
			to.left.fail--
		case snooze:
			to.left.snooze--
		default:
		}
		w.step(w.by(i, what), to)
	}
	end("handler succeeds", success)
	if w.s.left.fail > 0 && n.rec.a < w.attempts {
		end("handler fails", failure)
	}
	if w.s.left.fail > 0 && n.rec.a >= w.attempts {
		end("handler fails for good", fatal)
	}
	if w.s.left.snooze > 0 {
		end("handler snoozes", snooze)
	}
	if c := w.s.claim; c.state == running && c.run == n.run && c.cancel {
		end("handler is told of the cancel and stops", stopped)
	}
	if p := w.s.procs[home[i]]; n.former || p.life == lapsed || p.draining {
		to := w.s
		to.slots[i].phase = releasing
		w.step(w.by(i, "handler stops with its session or process"), to)
	}
	if w.defect == offsetBeforeEffects && n.owns {
		to := w.s
		to.complete(i)
		w.step(w.by(i, "completes the offset before the effects"), to)
	}
}

// succeedOrIntend sends the successor that the outcome asks for, or writes the intent to bury: no effect of a turn comes
// before the next record or the intent is safe.
func (w *walk) succeedOrIntend(i int) {
	to := w.s
	n := &to.slots[i]
	next := n.rec.next()
	switch n.outcome {
	case success, stopped:
		n.phase = sent
		w.step(w.by(i, "needs no successor"), to)
		return
	case fatal:
		w.intendToBury(i)
		return
	case failure:
		next.a++
	case snooze:
		if w.defect == snoozeKeepsTurn {
			next.t--
		}
	}
	if w.defect != successorAfterFinish {
		put(to.tier[:], next)
	}
	n.phase = sent
	w.step(w.by(i, "sends its successor to the tiers"), to)
}

// completeOffset is the last step of every turn.
func (w *walk) completeOffset(i int) {
	to := w.s
	if n := to.slots[i]; w.defect == successorAfterFinish && (n.outcome == failure || n.outcome == snooze) {
		next := n.rec.next()
		if n.outcome == failure {
			next.a++
		}
		put(to.tier[:], next)
	}
	to.complete(i)
	to.slots[i] = slot{}
	w.step(w.by(i, "completes the offset"), to)
}

// handOn re-homes a record that waits or runs: first a copy with the same turn into the tiers, then the offset. What runs
// goes on and finishes as usual; what waits is the copy's from then on.
func (w *walk) handOn(i int) {
	n := w.s.slots[i]
	if unanswered := !n.phase.busy() && n.run != 0; !n.owns || unanswered && w.defect != handsOnUnanswered {
		return // what an unanswered begin or steal has won would be nobody's
	}
	early := w.defect == offsetBeforeCopy
	if !n.copied && w.s.left.rehome > 0 {
		to := w.s
		to.left.rehome--
		to.slots[i].copied = true
		if !early {
			put(to.tier[:], n.rec)
		}
		w.optional(w.by(i, "re-homes: a copy to the tiers"), to)
	}
	if n.copied {
		to := w.s
		to.complete(i)
		to.slots[i].copied = false
		if !n.phase.busy() {
			to.slots[i] = slot{}
		}
		w.step(w.by(i, "re-homes: completes the offset"), to)
		if early {
			put(to.tier[:], n.rec)
			w.step(w.by(i, "re-homes: completes the offset, then sends the copy"), to)
		}
	}
}

// losePartition takes the record's partition away. What runs goes on: its claim protects it.
func (w *walk) losePartition(i int) {
	n := w.s.slots[i]
	if w.s.left.rebalance == 0 || !n.owns {
		return
	}
	to := w.s
	to.left.rebalance--
	if (n.phase == asking || n.phase == held) && n.run == 0 {
		to.drop(i)
	} else {
		to.deliver(n.rec)
		to.slots[i].owns = false
	}
	w.optional(w.by(i, "loses its partition"), to)
}
