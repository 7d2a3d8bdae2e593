package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/task"
)

// A taskState is a task of a simulation: its plan, and what has happened to it. Its fields are under simulation.mu.
type taskState struct {
	*simulation
	id   string
	plan plan

	attempts  []*attempt
	claim     claim.Claim // when last seen
	notBefore time.Time
	failures  int  // that handlers have returned in this generation
	canceled  bool // somebody has asked for that
	suspected bool // its process died, or seemed to, while the task ran there alone
	sent      int  // how many records of it the simulation has written to the queue
	succeeded bool // its claim has said so
}

// An attempt is one execution of the handler.
type attempt struct {
	task     *taskState
	number   int // among all of the task
	process  *process
	session  string
	lease    *lease.Lease
	ctx      context.Context
	fence    int64
	g, t, a  int // generation, turn, attempt
	ended    bool
	until    time.Time // when it ended, plus the delay after which it asked to run again
	err      error     // that it returned
	finished bool      // it returned while its context had not ended
}

// interrupted reports whether the process of an attempt can't record an outcome any more, or may have been unable to.
func (a *attempt) interrupted() bool {
	select {
	case <-a.lease.Done():
		return true
	case <-a.process.dead:
		return true
	default:
		return a.process.stopRequested
	}
}

// abandoned reports whether an attempt's context has ended: when the session has not, the task was canceled or taken over.
func (a *attempt) abandoned() bool { return a.ctx.Err() != nil }

// task returns the task of an id.
func (m *simulation) task(id string) *taskState {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.tasks[id]
	if s == nil {
		s = &taskState{simulation: m, id: id, plan: m.planOf(id)}
		m.tasks[id] = s
		m.order = append(m.order[:len(m.order):len(m.order)], s)
	}
	return s
}

// update calls f while it holds s.mu.
func (s *taskState) update(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *taskState) noteCancel() { s.update(func() { s.canceled = true }) }
func (s *taskState) noteReplay() { s.update(func() { s.failures = 0; s.sent++ }) }

// sendTime returns the time before which the task must not run, zero if there is none.
func (s *taskState) sendTime() (at time.Time) {
	s.update(func() { at = s.notBefore })
	return at
}

// errorf reports a violation of the rules.
func (s *taskState) errorf(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("%s %s: %s", time.Now().Format("04:05.000"), s.id, fmt.Sprintf(format, args...))
}

// begin records the start of an attempt, and checks whether it may start.
func (m *simulation) begin(p *process, ctx context.Context, tk *task.Task) *attempt {
	s := m.task(tk.ID)
	s.checkClaim()
	m.mu.Lock()
	defer m.mu.Unlock()
	a := &attempt{task: s, number: len(s.attempts), process: p, fence: task.Fence(ctx), ctx: ctx, g: tk.Generation, t: tk.Turn, a: tk.Attempt}
	a.session = s.claim.Owner
	a.lease = p.leaseOf(a.session)
	m.logfLocked("%s %d.%d.%d run %d starts at %s, fence %d", s.id, a.g, a.t, a.a, a.number, p.prefix, a.fence)
	if !m.redisFlush {
		s.checkStart(a)
	}
	s.checkDue(a)
	s.attempts = append(s.attempts, a)
	return a
}

func (p *process) leaseOf(session string) *lease.Lease {
	if l := p.member.Lease(); l != nil && l.ID() == session {
		return l
	}
	ended := lease.New(session) // the claim was another's by the time it was read
	ended.End()
	return ended
}

// end records the end of an attempt.
func (m *simulation) end(a *attempt, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a.ended, a.err, a.finished, a.until = true, err, a.ctx.Err() == nil, time.Now()
	var snoozed *task.SnoozeError
	var failed *task.RetryAfterError
	switch {
	case errors.As(err, &snoozed):
		a.until = a.until.Add(snoozed.Delay)
	case errors.As(err, &failed):
		a.until = a.until.Add(failed.Delay)
	}
	if err != nil && a.finished && snoozed == nil {
		a.task.failures++
	}
	m.logfLocked("%s run %d ends: %v (context %v)", a.task.id, a.number, err, a.ctx.Err())
}

// expire ends a session for everyone but its process. A task that its process still runs alone then may be taken for poison,
// whether the process has died or was only disconnected for too long.
func (m *simulation) expire(session string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claims.SetAlive(session, false)
	for _, s := range m.order {
		if is := m.claims.Look(s.id); is.Owner == session && is.State == claim.Running && is.Flags&claim.Alone != 0 {
			s.suspected = true
		}
	}
}
