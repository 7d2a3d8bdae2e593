package spec

// session has what happens to a process and to its session in etcd.
//
// A session is trusted until the send time of its last confirmed keepalive + TTL − margin, and registered until the lease
// ends, which is later. In between nothing can happen that could not happen before or after, so the model ends both at once.
func (w *walk) session(p int) {
	l := w.s.procs[p].life
	say := func(what string) label { return label{who: names[p], what: what} }
	if w.s.procs[p].alive() {
		w.crash(p)
		w.drain(p)
	}
	to := w.s
	switch l {
	case registered:
		w.lapse(p)
	case lapsed:
		to.newSession(p, registered)
		w.step(say("opens a new session"), to)
		if w.s.left.away > 0 {
			to = w.s
			to.left.away--
			to.newSession(p, unregistered)
			w.optional(say("goes on without etcd"), to)
		}
	case unregistered:
		to.procs[p].life = registered
		w.step(say("has etcd again and registers its session"), to)
	case crashed:
		to.procs[p].life = gone
		w.step(say("lease expires"), to)
	case gone:
		to.newSession(p, registered)
		w.step(say("restarts"), to)
	}
}

// newSession gives a process another session: what belonged to the one before belongs to nobody who lives.
func (s *state) newSession(p int, l life) {
	s.procs[p].life = l
	for _, c := range []*claim{&s.claim, &s.lagging} {
		if c.owned() && int(c.owner) == p {
			c.former = true
		}
	}
	for i := range s.slots {
		if int(home[i]) == p && s.slots[i].phase != idle {
			s.slots[i].former = true
		}
	}
}

// loseAll delivers again what the process had not completed.
func (s *state) loseAll(p int) {
	for i := range s.slots {
		if n := &s.slots[i]; int(home[i]) == p && n.owns {
			s.deliver(n.rec)
			n.owns = false
		}
	}
}

func (w *walk) crash(p int) {
	if w.s.left.crash == 0 {
		return
	}
	to := w.s
	to.left.crash--
	to.died = true
	to.loseAll(p)
	for i := range to.slots {
		if int(home[i]) == p {
			to.slots[i] = slot{}
		}
	}
	if to.procs[p].life == registered {
		to.procs[p].life = crashed
	} else {
		to.procs[p].life = gone
	}
	to.procs[p].draining = false
	w.optional(label{who: names[p], what: "crashes"}, to)
	if to.left.uncommit == 0 {
		return
	}
	to.left.uncommit--
	for k, r := range to.done {
		if r.t == 0 || k > 0 && to.done[k-1] == r {
			continue
		}
		uncommitted := to
		uncommitted.done[k] = record{}
		uncommitted.deliver(r)
		w.optional(label{who: names[p], what: "crashes before the commit of", rec: r}, uncommitted)
	}
}

// lapse ends the lease of a process that lives. It was paused, and then its group has given its partitions to others, or
// etcd was out of reach, and then it keeps them. In the second case it knew in time, and takes the mark of the lonely run back:
// see alone.go.
func (w *walk) lapse(p int) {
	if w.s.left.lapse == 0 {
		return
	}
	to := w.s
	to.left.lapse--
	to.procs[p].life = lapsed
	paused := to
	paused.died = true
	paused.loseAll(p)
	w.optional(label{who: names[p], what: "is paused past its lease"}, paused)
	if c := to.claim; w.defect != flagSurvivesLapse && c.state == running && c.alone && int(c.owner) == p && !c.former {
		c.alone = false
		to.write(c)
	}
	w.optional(label{who: names[p], what: "loses its lease and keeps its partitions"}, to)
}

// drain tells a process to stop; it leaves when its slots are done. A handler that does not return is left to a crash.
func (w *walk) drain(p int) {
	to := w.s
	switch {
	case !w.s.procs[p].draining && w.s.left.drain > 0:
		to.left.drain--
		to.procs[p].draining = true
		w.optional(label{who: names[p], what: "is told to stop"}, to)
	case w.s.procs[p].draining:
		for i, n := range w.s.slots {
			if int(home[i]) == p && n.phase != idle {
				return
			}
		}
		if c := w.s.claim; c.owned() && int(c.owner) == p && !c.former && !w.s.forgot {
			to.broken = leftClaim
		}
		to.procs[p] = process{life: gone}
		w.step(label{who: names[p], what: "has drained and leaves"}, to)
	}
}
