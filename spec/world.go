package spec

// forwarder moves records from the tiers to pending, at least once.
func (w *walk) forwarder() {
	for k, r := range w.s.tier {
		if r.t == 0 || k > 0 && w.s.tier[k-1] == r {
			continue
		}
		to := w.s
		to.deliver(r)
		if to.left.dup > 0 {
			double := to
			double.left.dup--
			w.optional(label{what: "forwarder sends, and will again", rec: r}, double)
		}
		to.tier[k] = record{}
		w.step(label{what: "forwarder sends", rec: r}, to)
	}
}

// operator has the wishes: cancel, and the two steps of a replay, between which its process may be killed.
func (w *walk) operator() {
	w.cancel()
	s := w.s
	for g := int8(0); g < 2 && s.replayed == 0 && s.left.replay > 0; g++ {
		if s.letters&bit(g) == 0 {
			continue
		}
		// The command looks at the claim before it sends. What it read may be history when the record arrives, so the
		// model lets it send whatever it read.
		to := s
		to.left.replay--
		to.replayed = g + 1
		to.asked = false // a later wish
		to.deliver(record{g + 1, 1, 1})
		w.optional(label{what: "operator replays", rec: record{g + 1, 1, 1}}, to)
	}
	if s.replayed > 0 {
		to := s
		to.replayed = 0
		w.optional(label{what: "operator is killed before the tombstone"}, to)
		to.letters &^= bit(s.replayed - 1)
		if w.defect == letterKeyedByIdentity {
			to.letters = 0 // the tombstone hits whatever letter the task has
		}
		w.step(label{what: "operator writes the tombstone"}, to)
	}
}

func (w *walk) cancel() {
	if w.s.left.cancel == 0 {
		return
	}
	to := w.s
	to.left.cancel--
	to.asked = true
	c := w.s.claim
	switch c.state {
	case missing, pending, retrying:
		to.write(claim{state: canceled, g: c.g, t: c.t, run: c.run, always: true})
		w.optional(label{what: "operator cancels"}, to)
	case running:
		c.cancel = true
		to.write(c)
		w.optional(label{what: "operator cancels what runs"}, to)
	default: // it is too late
	}
}

// redis has what a store in memory can do to claims. From then on the protocol promises less: nothing is lost.
func (w *walk) redis() {
	s := w.s
	if s.left.flush > 0 {
		to := s
		to.left.flush--
		to.forgot = true
		to.write(claim{})
		w.optional(label{what: "redis is flushed"}, to)
	}
	if s.left.rollback > 0 && !s.lags {
		to := s
		to.left.rollback--
		to.lags, to.lagging = true, s.claim
		w.optional(label{what: "redis: the replica stops following"}, to)
	}
	if s.lags {
		to := s
		to.lags, to.lagging = false, claim{}
		to.forgot = true
		to.write(s.lagging)
		w.optional(label{what: "redis fails over to the replica"}, to)
	}
	// A claim that came back can name an owner who lives and knows nothing of it. Nobody refreshes it, so it expires.
	if s.forgot && s.claim.owned() && s.unattended(s.claim) {
		to := s
		to.write(claim{})
		w.step(label{what: "redis: nobody refreshes the claim, it expires"}, to)
	}
}

func (s *state) unattended(c claim) bool {
	for i, n := range s.slots {
		if s.procs[home[i]].alive() && n.run == c.run && n.phase != idle {
			return false
		}
	}
	return true
}
