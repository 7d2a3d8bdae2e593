package spec

// A model is the protocol with the faults that may happen to it.
type model struct {
	budget   budget
	limit    int8   // crashes after which a task is poison
	attempts int8   // tries before a failure is fatal
	defect   defect // planted, to show that the properties see it
}

func (m *model) first() state {
	s := state{left: m.budget}
	s.deliver(record{0, 1, 1})
	s.canonical()
	return s
}

func (m *model) steps(s state, emit func(step[state])) {
	w := walk{model: m, s: s, emit: emit}
	w.forwarder()
	w.operator()
	w.redis()
	for p := range s.procs {
		w.session(p)
	}
	for i := range s.slots {
		if s.procs[home[i]].alive() {
			w.slot(i)
		}
	}
}

// A walk collects the steps out of one state. Each step works on a copy of s.
type walk struct {
	*model
	s    state
	emit func(step[state])
}

var names = [processes]string{"p0", "p1"}

func (w *walk) step(l label, to state) {
	w.keepRead(&to)
	to.canonical()
	w.emit(step[state]{label: l, to: to})
}

func (w *walk) optional(l label, to state) {
	w.keepRead(&to)
	to.canonical()
	w.emit(step[state]{label: l, to: to, optional: true})
}

// by is the label of a step of slot i.
func (w *walk) by(i int, what string) label {
	return label{who: names[home[i]], what: what, rec: w.s.slots[i].rec}
}

// call is a step of slot i that changes the claim. The reply may be lost: then Redis has the new value, and the slot knows
// no more than it did, except for the numbers it had drawn and the places it had reserved before it called.
func (w *walk) call(i int, what string, to state) {
	w.step(w.by(i, what), to)
	if to.left.reply == 0 {
		return
	}
	lost := to
	lost.avail, lost.done = w.s.avail, w.s.done
	lost.slots = w.s.slots
	for k := range lost.slots {
		lost.slots[k].gone = false // as in write
	}
	if run := to.slots[i].run; run != 0 {
		lost.slots[i].run, lost.slots[i].born = run, to.slots[i].born
	}
	lost.slots[i].exclusive = lost.slots[i].exclusive || to.slots[i].exclusive
	lost.left.reply--
	w.optional(w.by(i, what+", but the reply is lost"), lost)
}

// slot has the steps of a slot, in the order that a record takes through them.
func (w *walk) slot(i int) {
	switch w.s.slots[i].phase {
	case idle:
		w.poll(i)
	case asking, held:
		w.readRegistry(i)
		w.ask(i)
		w.handOn(i)
	case won:
		w.start(i)
		w.handOn(i)
	case releasing:
		w.release(i)
	case handling:
		w.handlerReturns(i)
		w.handOn(i)
	case ended:
		w.succeedOrIntend(i)
	case sent:
		w.finish(i)
	case intended:
		w.writeLetter(i)
	case lettered:
		w.bury(i)
	case settled:
		w.completeOffset(i)
	}
	w.losePartition(i)
}
