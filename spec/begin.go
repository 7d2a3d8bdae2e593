package spec

// A verdict is what begin says of a record.
type verdict uint8

const (
	wait   verdict = iota // held
	run                   // the first run of the turn, or one that nobody's death has interrupted
	again                 // a run that an earlier begin of mine has won
	steal                 // a run that another's death has interrupted
	drop                  // done or stale
	cancel                // the claim ends as canceled
	poison                // the claim is to be dying
	inter                 // the claim is dying, and nobody writes its letter: bury it
)

// A view is what the caller of begin knows that the claim does not say.
type view struct {
	own     bool // the claim was written by this very begin, whose reply was lost
	session bool // the owner is my session
	mine    bool // the same, and nothing of that run is in flight here
	gone    bool // a linearizable read of etcd, made after the claim was read, says that the owner's session is gone
}

// decide is the table of verdicts of DESIGN.md, section 4: the first row that fits. With it goes the crash count that the
// run is written with.
func (m *model) decide(c claim, r record, v view) (verdict, int8) {
	older := c.g < r.g // the record is a replay: the older generation has its letter, its crashes and wishes are history
	switch {
	case c.state == missing:
		return run, 0
	case c.finished() && (c.always || !older):
		return drop, 0
	case c.finished():
		return run, 0
	case c.state == dying && older && m.defect != buryOlderGeneration:
		return run, 0
	case c.waits() && older:
		return run, 0
	case c.waits() && !c.after(r):
		return run, c.crashes
	case c.state == dying && c.g > r.g, c.state != dying && c.after(r):
		return drop, 0
	case m.defect == dropHeldOfOwn && v.session:
		return drop, 0
	case !v.own && !v.mine && !v.gone:
		return wait, 0
	case c.state == dying:
		if m.defect == runWhatIsDying {
			return steal, 0
		}
		return inter, 0
	case older:
		return run, 0
	case c.cancel && m.defect != cancelForgotten:
		return cancel, 0
	case v.own && m.defect != retriedStealCountsTwice:
		return again, c.crashes
	case v.mine && !v.own:
		return run, c.crashes
	case c.crashes < m.limit-1:
		return steal, c.crashes + 1
	case c.alone:
		return poison, c.crashes + 1
	default: // the process died with others at work: that proves nothing, but from now on it runs alone
		return steal, c.crashes
	}
}

func (w *walk) view(i int) view {
	s, n := &w.s, &w.s.slots[i]
	c := s.claim
	if !c.owned() {
		return view{}
	}
	v := view{
		own:     n.run != 0 && n.run == c.run,
		session: c.owner == home[i] && !c.former && !n.former,
		gone:    n.gone,
	}
	v.mine = v.session
	for k, other := range s.slots {
		if k != i && home[k] == home[i] && other.phase.busy() && other.run == c.run {
			v.mine = false
		}
	}
	return v
}

// ask calls begin and does what it says. Reading the claim, deciding and writing are one step: the code compares with
// what it read and starts over when that has changed.
func (w *walk) ask(i int) {
	s, n := w.s, w.s.slots[i]
	v := w.view(i)
	if !s.welcome(i) {
		w.askUnwelcome(i, v)
		return
	}
	if w.defect == beginWithoutCompare && w.beginBlindly(i) {
		return
	}
	to := s
	at := &to.slots[i]
	c := s.claim
	what, crashes := w.decide(c, n.rec, v)
	switch what {
	case wait:
		if n.phase == asking {
			*at = slot{phase: held, rec: n.rec, owns: true, gone: n.gone, copied: n.copied}
			w.step(w.by(i, "begins: held"), to)
		}
	case drop:
		at.phase = settled
		w.step(w.by(i, "begins: done or stale"), to)
	case again:
		at.phase, at.solo = won, crashes >= w.limit-1
		w.step(w.by(i, "begins again: it has won already"), to)
	case run:
		w.win(&to, i, crashes)
		w.call(i, "begins: run", to)
	case steal:
		w.win(&to, i, crashes)
		w.call(i, "steals", to)
	case cancel:
		to.write(claim{state: canceled, g: c.g, t: c.t, run: c.run})
		at.phase = settled
		w.call(i, "begins: canceled", to)
	case poison, inter:
		if c.state == dying && v.own {
			at.phase, at.grave = intended, c.g
			w.step(w.by(i, "begins again: it may bury already"), to)
			return
		}
		w.intend(&to, i, c, crashes)
		w.call(i, "begins: bury", to)
	}
}

// win writes the claim of a run and checks what must never begin.
func (w *walk) win(s *state, i int, crashes int8) {
	c, n := s.claim, &s.slots[i]
	r := n.rec
	if !s.forgot {
		switch {
		case (s.succeeded|s.buried)&bit(r.g) != 0:
			s.broken = startedFinished
		case s.asked:
			s.broken = startedCanceled
		case s.over[r.g] >= r.t:
			s.broken = startedHandedOver
		}
	}
	if c.g == r.g && c.t == r.t && c.a > r.a {
		r.a = c.a // what another record of this turn said of its attempt counts as well
	}
	n.rec = r
	n.run = w.draw(s)
	n.phase = won
	n.solo = crashes >= w.limit-1
	n.born = s.procs[home[i]].life == registered || w.defect == trustLateRegistration
	s.write(claim{state: running, g: r.g, t: r.t, a: r.a, run: n.run, owner: home[i], crashes: crashes})
}

// draw returns the number of the next run, which is also its fence: above that of the claim it replaces. The clock is
// taken at its worst, which is to stand still; only when Redis has forgotten must it have moved on.
func (w *walk) draw(s *state) int8 {
	n := s.claim.run + 1
	switch {
	case s.forgot:
		n = s.drawn + 1
	case w.defect == fenceFromClock && s.claim.state == running:
		n = s.claim.run // another node's clock, which shows the same
	}
	if n <= s.drawn {
		s.broken = fenceFell
	}
	s.drawn = max(s.drawn, n)
	return n
}

// askUnwelcome is for a slot whose partition, session or process goes: it drops what it has not begun, and what a begin
// without an answer may have won it finds out, to give it back.
func (w *walk) askUnwelcome(i int, v view) {
	to := w.s
	switch {
	case v.own && w.s.claim.state == dying:
		to.slots[i].phase, to.slots[i].grave = intended, w.s.claim.g
		w.step(w.by(i, "learns that it has to bury"), to)
	case v.own && w.defect != wonTooLateKept:
		to.slots[i].phase = releasing
		w.step(w.by(i, "learns that it has won, too late"), to)
	default:
		to.drop(i)
		w.step(w.by(i, "does not begin"), to)
	}
}

// readRegistry asks etcd for the owner of a claim that holds the record. Between the answer and the steal others act: an
// answer holds for the claim as it was read, and a steal compares. An unregistered process can't reach etcd and asks nothing.
func (w *walk) readRegistry(i int) {
	s, n := &w.s, &w.s.slots[i]
	c := s.claim
	blind := w.defect == stealWithoutRegistry && s.procs[home[i]].life == unregistered
	if n.gone || !s.welcome(i) || s.procs[home[i]].life != registered && !blind || !c.owned() {
		return
	}
	v := w.view(i)
	if v.own || v.session {
		return
	}
	if s.live(c) && w.defect != stealFromLiving && !blind {
		return
	}
	to := w.s
	to.slots[i].gone = true
	w.step(w.by(i, "reads the registry: owner gone"), to)
}
