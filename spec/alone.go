package spec

import "fmt"

// This is the second model: who is blamed when a process dies. Several tasks share the slots of two processes; some of
// them, the culprits, may take their process down while their handlers run, and nothing else does. What the first model
// explores (records, offsets, lost replies) is left out: a task is its claim here and nothing more. What its parties do is
// in this file; what happens to processes, and who may be blamed, is in blame.go.

const crowd = 3 // tasks at most

type task struct {
	state   claimState // missing, pending, running, dying, succeeded
	owner   int8
	orphan  bool // the owner's session is gone
	crashes int8
	alone   bool
}

// seat is a slot with a task in it.
type seat struct {
	phase     phase // idle, won, handling, ended
	task      int8
	solo      bool
	exclusive bool // nobody else starts in this process
	flagged   bool
	former    bool // its session has ended
}

type scene struct {
	tasks [crowd]task
	seats [slots]seat
	dead  [processes]bool
	// ending: the session is no longer trusted, the lease still runs. It is when a node can put its claims in order.
	ending [processes]bool
	kills  [crowd]int8 // processes that a task has taken down
	again  int8        // how often a handler may still end in a snooze or a retry
	lapse  int8        // how often a living process may lose its lease, having known it in time
	leave  int8        // how often a process may end by its own will with handlers at work
}

// alone is the model of blame.
type alone struct {
	tasks    int
	culprits uint8
	limit    int8
	again    int8
	lapse    int8
	leave    int8
	defect   aloneDefect
}

func (m *alone) first() scene {
	s := scene{again: m.again, lapse: m.lapse, leave: m.leave}
	for i := m.tasks; i < crowd; i++ {
		s.tasks[i].state = succeeded
	}
	return s
}

func (m *alone) steps(s scene, emit func(step[scene])) {
	say := func(who int, what string, to scene) {
		to.tidy()
		emit(step[scene]{label: label{who: names[home[who]], what: what}, to: to})
	}
	maybe := func(p int, what string, to scene) {
		to.tidy()
		emit(step[scene]{label: label{who: names[p], what: what}, to: to, optional: true})
	}
	for i := range s.seats {
		if s.dead[home[i]] {
			continue
		}
		switch s.seats[i].phase {
		case idle:
			m.begin(s, i, say)
		case won:
			m.startAlone(s, i, say)
		case handling:
			m.handle(s, i, say, maybe)
		case ended:
			m.record(s, i, say)
		default:
		}
	}
	for p := range s.dead {
		m.lives(s, p, maybe, emit)
	}
}

// begin takes a task that nobody has, or whose owner is gone.
func (m *alone) begin(s scene, i int, say func(int, string, scene)) {
	if s.ending[home[i]] {
		return
	}
	for k, t := range s.tasks {
		to := s
		at := &to.tasks[k]
		what := fmt.Sprintf("begins task %d", k)
		switch {
		case t.state == missing || t.state == pending:
		case t.state == running && t.orphan && t.crashes < m.limit-1:
			at.crashes++
			what = fmt.Sprintf("steals task %d", k)
		case t.state == running && t.orphan && (t.alone || m.defect == countOnly):
			*at = task{state: dying}
			say(i, fmt.Sprintf("steals task %d: poison", k), to)
			continue
		case t.state == running && t.orphan:
			what = fmt.Sprintf("steals task %d, no crash counted", k)
		default:
			continue
		}
		at.state, at.owner, at.orphan = running, home[i], false
		at.alone = at.alone && m.defect == flagSurvivesFinish
		to.seats[i] = seat{phase: won, task: int8(k), solo: at.crashes >= m.limit-1 && m.defect != countOnly}
		say(i, what, to)
	}
}

// startAlone starts a handler. One that has to be alone first waits for the others' handlers to return and reserves the
// process, then writes the mark, then runs: whatever the process dies of from the mark on is its own doing.
func (m *alone) startAlone(s scene, i int, say func(int, string, scene)) {
	n := s.seats[i]
	to := s
	at := &to.seats[i]
	if n.former || s.ending[home[i]] {
		m.giveBack(&to, i)
		say(i, fmt.Sprintf("releases task %d", n.task), to)
		return
	}
	for k, other := range s.seats {
		if k == i || home[k] != home[i] {
			continue
		}
		if other.former && m.defect == zombiesAreNotCounted {
			continue
		}
		if other.exclusive && m.defect != startBeside || n.solo && other.phase == handling && m.defect != flagBeforeQuiet {
			return
		}
	}
	mine := &to.tasks[n.task]
	if n.solo && !n.flagged && m.defect != handlerBeforeFlag {
		at.exclusive, at.flagged = true, true
		mine.alone = true
		say(i, fmt.Sprintf("writes that task %d runs alone", n.task), to)
		return
	}
	at.phase = handling
	say(i, fmt.Sprintf("starts task %d", n.task), to)
}

// handle has what a handler does: it returns, with or without success, or takes its process down.
func (m *alone) handle(s scene, i int, say func(int, string, scene), maybe func(int, string, scene)) {
	n := s.seats[i]
	to := s
	to.seats[i].phase = ended
	if m.defect == freeWithHandler {
		to.seats[i].exclusive = false
	}
	say(i, fmt.Sprintf("task %d returns", n.task), to)
	if m.defect == handlerBeforeFlag && n.solo && !n.flagged && !n.former {
		to := s
		to.seats[i].flagged = true
		to.tasks[n.task].alone = true
		say(i, fmt.Sprintf("writes that task %d runs alone", n.task), to)
	}
	if m.culprits&bit(n.task) != 0 {
		to := s
		to.kills[n.task]++
		to.die(home[i])
		maybe(int(home[i]), fmt.Sprintf("is taken down by task %d", n.task), to)
	}
}

// record finishes: the claim says so before anybody else may start. A task whose claim is another's has lost.
func (m *alone) record(s scene, i int, say func(int, string, scene)) {
	n := s.seats[i]
	to := s
	if !s.holds(i) {
		to.seats[i] = seat{}
		say(i, fmt.Sprintf("finishes task %d: lost", n.task), to)
		return
	}
	to.seats[i] = seat{}
	to.tasks[n.task] = task{state: succeeded}
	say(i, fmt.Sprintf("finishes task %d", n.task), to)
	if s.again > 0 {
		to = s
		to.again--
		m.giveBack(&to, i)
		say(i, fmt.Sprintf("finishes task %d: to run again", n.task), to)
	}
}

// giveBack makes a task pending: a release, or a successor. It keeps the count of its crashes.
func (m *alone) giveBack(s *scene, i int) {
	if s.holds(i) {
		t := &s.tasks[s.seats[i].task]
		*t = task{state: pending, crashes: t.crashes, alone: t.alone && m.defect == flagSurvivesFinish}
	}
	s.seats[i] = seat{}
}
