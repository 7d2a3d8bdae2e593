package simulation

import (
	"errors"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
)

// checkStart checks that an attempt may start: under its claim, in a session that lasts, and after all earlier attempts.
// s.mu is held.
func (s *taskState) checkStart(a *attempt) {
	if is := s.claim; is.State != claim.Running || is.Fence != a.fence {
		s.errorf("a handler starts under fence %d and the claim %q", a.fence, is)
	}
	if ended, ok := s.leaseEnds[a.session]; ok && time.Now().After(ended) {
		s.errorf("a handler starts in session %s, which ended at %s", a.session, ended.Format("04:05.000"))
	}
	for _, before := range s.attempts {
		s.checkOrder(before, a)
	}
	if s.succeeded && a.g == 0 {
		s.errorf("a finished task starts again")
	}
	if a.a > 1+s.failures {
		s.errorf("attempt %d after %d failures", a.a, s.failures)
	}
}

// checkOrder checks that a new attempt may follow an earlier one. s.mu is held.
func (s *taskState) checkOrder(before, a *attempt) {
	switch {
	case before.g > a.g:
		s.errorf("generation %d starts after %d", a.g, before.g)
	case before.fence >= a.fence:
		s.errorf("fence %d after %d", a.fence, before.fence)
	case before.interrupted():
	case !before.ended:
		s.errorf("two live sessions in one attempt: run %d of %s still runs", before.number, before.process.prefix)
	case before.g < a.g:
	case before.finished && before.err == nil:
		s.errorf("run %d had succeeded", before.number)
	case before.finished && a.t <= before.t && !before.abandoned():
		s.errorf("run %d had ended turn %d: %v", before.number, before.t, before.err)
	}
}

// checkDue checks that an attempt does not start before its time: that of the task, and the earliest that an attempt of the
// turn before has asked for. s.mu is held.
func (s *taskState) checkDue(a *attempt) {
	now := time.Now()
	if now.Before(s.notBefore) && a.g == 0 {
		s.errorf("it starts %v before its time", s.notBefore.Sub(now))
	}
	var asked time.Time
	for _, before := range s.attempts {
		if before.g == a.g && before.t == a.t-1 && before.ended && (asked.IsZero() || before.until.Before(asked)) {
			asked = before.until
		}
	}
	if now.Before(asked) {
		s.errorf("turn %d starts %v early", a.t, asked.Sub(now))
	}
}

// checkSessions checks that the contexts of attempts end with their sessions. (A handler may ignore its context.)
func (s *taskState) checkSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.attempts {
		ended, ok := s.leaseEnds[a.session]
		if ok && !a.ended && a.ctx.Err() == nil && time.Since(ended) > time.Second {
			s.errorf("the context of run %d has not ended %v after its session", a.number, time.Since(ended))
		}
	}
}

// checkClaim reads the task's claim, and checks that it only goes forward: no stale owner overwrites it, and a terminal
// state is final.
func (s *taskState) checkClaim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, is := s.claim, s.claims.Look(s.id)
	s.claim = is
	if is != was {
		s.logfLocked("claim of %s: %q", s.id, is)
	}
	if is.State == claim.Succeeded && is.Generation == 0 {
		s.succeeded = true
	}
	switch {
	case s.redisFlush || was.State == 0:
	case is.State == 0:
		s.errorf("its claim is gone")
	case is.Fence < was.Fence || is.Owner != was.Owner && is.Fence == was.Fence:
		s.errorf("the claim %q was overwritten by %q", was, is)
	case is.Generation < was.Generation || is.Generation == was.Generation && is.Turn < was.Turn:
		s.errorf("the claim %q went back to %q", was, is)
	case was.State.Terminal() && is.Generation == was.Generation && is.State != was.State:
		s.errorf("the claim %q of a task that had ended became %q", was, is)
	}
}

// checkOutcomes checks how the tasks have ended.
func (m *simulation) checkOutcomes() {
	type end struct {
		reason     task.Reason
		generation int
	}
	letters := make(map[string]end)
	for _, l := range m.kafka.Records(names.Dead("tasks")) {
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
		for _, a := range s.attempts {
			succeeded = succeeded || a.ended && a.err == nil
		}
		letter, dead := letters[s.id]
		reason := letter.reason
		if !m.redisFlush && !s.claim.State.Terminal() {
			s.errorf("it has not ended: %q", s.claim)
		}
		switch {
		case s.claim.State == claim.Succeeded && !succeeded:
			s.errorf("it succeeded without a successful run")
		case s.claim.State == claim.Dead && (!dead || letter.generation != s.claim.Generation):
			s.errorf("it is dead without a dead letter")
		case !m.redisFlush && s.claim.State != claim.Dead && dead && letter.generation >= s.claim.Generation:
			s.errorf("it has a dead letter and its claim is %q", s.claim)
		case s.claim.State == claim.Canceled && !s.canceled:
			s.errorf("it is canceled, though nobody asked for that")
		case !succeeded && !dead && !s.canceled:
			s.errorf("it is lost: %q", s.claim)
		}
		switch {
		case !dead:
		case reason == task.ReasonFailed && !s.plan.permanent,
			reason == task.ReasonExhausted && s.plan.failures < maxAttempts,
			reason == task.ReasonPoison && !s.suspected:
			s.errorf("it is dead as %s, which was not planned", reason)
		}
	}
}
