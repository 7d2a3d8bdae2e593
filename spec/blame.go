package spec

import "fmt"

// lives has what happens to processes and their sessions.
func (m *alone) lives(s scene, p int, maybe func(int, string, scene), emit func(step[scene])) {
	to := s
	if s.dead[p] {
		to.dead[p] = false
		to.tidy()
		emit(step[scene]{label: label{who: names[p], what: "restarts"}, to: to})
		return
	}
	if s.ending[p] {
		to.ending[p] = false
		to.orphan(int8(p))
		for i := range to.seats {
			to.seats[i].former = to.seats[i].former || int(home[i]) == p && to.seats[i].phase != idle
		}
		to.tidy()
		emit(step[scene]{label: label{who: names[p], what: "lease expires, it opens a new session"}, to: to})
		return
	}
	if s.lapse > 0 {
		to := s
		to.lapse--
		to.ending[p] = true
		m.takeBack(&to, p)
		maybe(p, "can't trust its session any more", to)
	}
	if s.leave > 0 {
		to := s
		to.leave--
		m.takeBack(&to, p)
		to.die(int8(p))
		maybe(p, "leaves after its drain, handlers at work", to)
	}
}

// takeBack removes the mark from the claim of the lonely run, while its owner still can: its session or its process is
// about to end for another reason than this task.
func (m *alone) takeBack(s *scene, p int) {
	if m.defect == flagSurvivesSession {
		return
	}
	for i := range s.tasks {
		if t := &s.tasks[i]; t.state == running && !t.orphan && int(t.owner) == p {
			t.alone = false
		}
	}
}

// holds says whether the claim of a seat's task is still that of its run.
func (s *scene) holds(i int) bool {
	n := s.seats[i]
	t := s.tasks[n.task]
	return t.state == running && t.owner == home[i] && t.orphan == n.former
}

func (s *scene) die(p int8) {
	s.dead[p] = true
	s.ending[p] = false
	s.orphan(p)
	for i := range s.seats {
		if home[i] == p {
			s.seats[i] = seat{}
		}
	}
}

func (s *scene) orphan(p int8) {
	for i := range s.tasks {
		if t := &s.tasks[i]; t.state == running && t.owner == p {
			t.orphan = true
		}
	}
}

// tidy: the two slots of the first process are alike.
func (s *scene) tidy() {
	key := func(n seat) (k int) {
		k = int(n.phase)<<8 | int(n.task)<<4
		for i, b := range []bool{n.solo, n.exclusive, n.flagged, n.former} {
			if b {
				k |= 1 << i
			}
		}
		return k
	}
	if key(s.seats[0]) < key(s.seats[1]) {
		s.seats[0], s.seats[1] = s.seats[1], s.seats[0]
	}
}

func (m *alone) wrong(s scene) string {
	for i, t := range s.tasks {
		culprit := m.culprits&bit(int8(i)) != 0
		if t.state == dying && s.kills[i] == 0 {
			return fmt.Sprintf("task %d is poison and never took a process down", i)
		}
		// A run whose mark was taken back is one more chance.
		if culprit && s.kills[i] > m.limit+m.lapse+m.leave {
			return fmt.Sprintf("task %d took down %d processes, the limit is %d", i, s.kills[i], m.limit)
		}
	}
	return ""
}

func (m *alone) quiet(s scene) bool {
	for _, t := range s.tasks {
		if t.state != succeeded && t.state != dying {
			return false
		}
	}
	return true
}

func (m *alone) describe(s scene) string { return fmt.Sprintf("%+v", s) }
