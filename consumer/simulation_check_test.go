package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
)

// A plan is how a task is meant to end, if nothing happens to it.
type plan struct {
	fails int  // attempts; simulatedAttempts of them exhaust it
	gives bool // up at once
	kills bool // its process
	later time.Duration
}

// A subject is a task of a simulation: its plan, and what became of it.
type subject struct {
	*simulation
	id   string
	plan plan

	runs      []*stint
	claim     claim.Claim // when last seen
	notBefore time.Time
	failures  int  // in this generation, that handlers told of
	canceled  bool // was asked for
	suspected bool // its process died, or seemed to, while it ran there alone
	sent      int  // records of it that the simulation has written to the queue
	done      bool // a success was recorded
}

// A stint is a run of a handler.
type stint struct {
	of       *subject
	number   int
	process  *process
	session  string
	lease    *lease.Lease
	ctx      context.Context
	fence    int64
	g, t, a  int
	ended    bool
	until    time.Time // when, and not before which moment it said that it wants to run again
	answer   error
	finished bool // the handler answered while its context had not ended
}

// over says whether whoever ran it can't record anything any more, or may not have been able to.
func (r *stint) over() bool {
	select {
	case <-r.lease.Done():
		return true
	case <-r.process.dead:
		return true
	default:
		return r.process.ending
	}
}

// subject returns the task of an id.
func (m *simulation) subject(id string) *subject {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.tasks[id]
	if s == nil {
		s = &subject{simulation: m, id: id, plan: m.plan(id)}
		m.tasks[id] = s
		m.order = append(m.order[:len(m.order):len(m.order)], s)
	}
	return s
}

func (m *simulation) plan(id string) (p plan) {
	d := m.dice(id, -2)
	switch n := d.IntN(40); {
	case n < 20:
	case n < 30:
		p.fails = 1 + d.IntN(simulatedAttempts-1)
	case n < 33:
		p.fails = simulatedAttempts
	case n < 38:
		p.gives = true
	case n == 38:
		p.kills = true
	}
	if d.IntN(6) == 0 {
		p.later = time.Duration(1+d.IntN(4000)) * time.Millisecond
	}
	return p
}

func (s *subject) note(of func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of()
}

func (s *subject) asked()    { s.note(func() { s.canceled = true }) }
func (s *subject) replayed() { s.note(func() { s.failures = 0; s.sent++ }) }

func (s *subject) before() (at time.Time) {
	s.note(func() { at = s.notBefore })
	return at
}

// wrong tells of a violation; s.mu is held.
func (s *subject) wrong(format string, args ...any) {
	s.t.Errorf("%s %s: %s", time.Now().Format("04:05.000"), s.id, fmt.Sprintf(format, args...))
}

// enter checks what must hold when a handler starts.
func (m *simulation) enter(p *process, ctx context.Context, tk *task.Task) *stint {
	s := m.subject(tk.ID)
	s.look()
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &stint{of: s, number: len(s.runs), process: p, fence: task.Fence(ctx), ctx: ctx, g: tk.Generation, t: tk.Turn, a: tk.Attempt}
	r.session = s.claim.Owner
	r.lease = p.leaseOf(r.session)
	m.note("%s %d.%d.%d run %d starts at %s, fence %d", s.id, r.g, r.t, r.a, r.number, p.prefix, r.fence)
	if !m.flush {
		if is := s.claim; is.State != claim.Running || is.Fence != r.fence {
			s.wrong("a handler starts under fence %d and the claim %q", r.fence, is)
		}
		if lost, ok := m.lost[r.session]; ok && time.Now().After(lost) {
			s.wrong("a handler starts under %s, which is over since %s", r.session, lost.Format("04:05.000"))
		}
		for _, before := range s.runs {
			s.follows(before, r)
		}
		if s.done && r.g == 0 {
			s.wrong("a finished task starts again")
		}
		if r.a > 1+s.failures {
			s.wrong("attempt %d after %d failures", r.a, s.failures)
		}
	}
	s.early(r)
	s.runs = append(s.runs, r)
	return r
}

// early checks that a run does not start before its time: that which its task was sent with, and the earliest that a run of
// the turn before has asked for.
func (s *subject) early(r *stint) {
	now := time.Now()
	if now.Before(s.notBefore) && r.g == 0 {
		s.wrong("it starts %v before its time", s.notBefore.Sub(now))
	}
	var asked time.Time
	for _, before := range s.runs {
		if before.g == r.g && before.t == r.t-1 && before.ended && (asked.IsZero() || before.until.Before(asked)) {
			asked = before.until
		}
	}
	if now.Before(asked) {
		s.wrong("turn %d starts %v early", r.t, asked.Sub(now))
	}
}

// follows checks what must hold between an earlier run and a new one; s.mu is held.
func (s *subject) follows(before, r *stint) {
	switch {
	case before.g > r.g:
		s.wrong("generation %d starts after %d", r.g, before.g)
	case before.fence >= r.fence:
		s.wrong("fence %d after %d", r.fence, before.fence)
	case before.over():
	case !before.ended:
		s.wrong("two live sessions in one attempt: run %d of %s goes on", before.number, before.process.prefix)
	case before.g < r.g:
	case before.finished && before.answer == nil:
		s.wrong("run %d had succeeded", before.number)
	case before.finished && r.t <= before.t && !given(before):
		s.wrong("run %d had ended turn %d: %v", before.number, before.t, before.answer)
	}
}

// given says whether a run was given up for another reason than the end of its session: it was canceled, or taken over.
func given(r *stint) bool { return r.ctx.Err() != nil }

func (p *process) leaseOf(session string) *lease.Lease {
	if l := p.member.Lease(); l != nil && l.ID() == session {
		return l
	}
	over := lease.New(session) // the claim was another's by the time it was looked at
	over.End()
	return over
}

// leave notes how a handler ended.
func (m *simulation) leave(r *stint, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.ended, r.answer, r.finished, r.until = true, err, r.ctx.Err() == nil, time.Now()
	var snoozed *task.SnoozeError
	var failed *task.RetryAfterError
	switch {
	case errors.As(err, &snoozed):
		r.until = r.until.Add(snoozed.Delay)
	case errors.As(err, &failed):
		r.until = r.until.Add(failed.Delay)
	}
	if err != nil && r.finished && snoozed == nil {
		r.of.failures++
	}
	m.note("%s run %d ends: %v (context %v)", r.of.id, r.number, err, r.ctx.Err())
}

// zombies checks that nothing runs on in a session that is over, but for handlers that do not obey their contexts.
func (s *subject) zombies() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		lost, ok := s.lost[r.session]
		if ok && !r.ended && r.ctx.Err() == nil && time.Since(lost) > time.Second {
			s.wrong("run %d goes on, and its context too, %v after its session was over", r.number, time.Since(lost))
		}
	}
}

// expire ends a session for the others. What it still runs alone then may be taken for poison, whether its process has died
// or was only silent for too long.
func (m *simulation) expire(session string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.c.set(session, false)
	for _, s := range m.order {
		if is := m.c.look(s.id); is.Owner == session && is.State == claim.Running && is.Flags&claim.Alone != 0 {
			s.suspected = true
		}
	}
}

// look checks that a claim only goes forward: no stale owner overwrites it, and what is over stays over.
func (s *subject) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, is := s.claim, s.c.look(s.id)
	s.claim = is
	if is != was {
		s.simulation.note("%s says %q", s.id, is)
	}
	if is.State == claim.Succeeded && is.Generation == 0 {
		s.done = true
	}
	switch {
	case s.flush || was.State == 0:
	case is.State == 0:
		s.wrong("its claim is gone")
	case is.Fence < was.Fence || is.Owner != was.Owner && is.Fence == was.Fence:
		s.wrong("the claim %q was overwritten by %q", was, is)
	case is.Generation < was.Generation || is.Generation == was.Generation && is.Turn < was.Turn:
		s.wrong("the claim %q went back to %q", was, is)
	case was.State.Terminal() && is.Generation == was.Generation && is.State != was.State:
		s.wrong("the claim %q of a task that had ended became %q", was, is)
	}
}

// verdict checks how the tasks have ended.
func (m *simulation) verdict() {
	type end struct {
		reason     task.Reason
		generation int
	}
	letters := make(map[string]end)
	for _, l := range m.s.letters() {
		stamp, err := record.ReadStamp(l)
		var tk task.Task
		if err := errors.Join(err, record.Decode(l, &tk)); err != nil {
			m.t.Error(err)
		}
		if before, ok := letters[tk.ID]; !ok || before.generation <= tk.Generation {
			letters[tk.ID] = end{stamp.Reason, tk.Generation}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.order {
		succeeded := false
		for _, r := range s.runs {
			succeeded = succeeded || r.ended && r.answer == nil
		}
		letter, dead := letters[s.id]
		reason := letter.reason
		if !m.flush && !s.claim.State.Terminal() {
			s.wrong("it has not ended: %q", s.claim)
		}
		switch {
		case s.claim.State == claim.Succeeded && !succeeded:
			s.wrong("it succeeded without a run that did")
		case s.claim.State == claim.Dead && (!dead || letter.generation != s.claim.Generation):
			s.wrong("it is dead without a letter")
		case !m.flush && s.claim.State != claim.Dead && dead && letter.generation >= s.claim.Generation:
			s.wrong("it has a letter and is %q", s.claim)
		case s.claim.State == claim.Canceled && !s.canceled:
			s.wrong("it is canceled, and nobody asked for that")
		case !succeeded && !dead && !s.canceled:
			s.wrong("it is lost: %q", s.claim)
		}
		switch {
		case !dead:
		case reason == task.ReasonFailed && !s.plan.gives,
			reason == task.ReasonExhausted && s.plan.fails < simulatedAttempts,
			reason == task.ReasonPoison && !s.suspected:
			s.wrong("it died as %s, which was not planned", reason)
		}
	}
}
