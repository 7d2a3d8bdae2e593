package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A plan is how a task is meant to end, if nothing happens to it.
type plan struct {
	fails int  // attempts; simulatedAttempts of them exhaust it
	gives bool // up at once
	kills bool // its process
}

// A subject is a task of a simulation: its plan, and what became of it.
type subject struct {
	*simulation
	id   string
	plan plan

	runs      []*stint
	claim     claim.Claim // when last seen
	failures  int         // in this generation, that handlers told of
	canceled  bool        // was asked for
	suspected bool        // its process died, or seemed to, while it ran there alone
	wasSent   bool
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
		d := m.dice(id, -2)
		s = &subject{simulation: m, id: id}
		switch n := d.IntN(40); {
		case n < 20:
		case n < 30:
			s.plan.fails = 1 + d.IntN(simulatedAttempts-1)
		case n < 33:
			s.plan.fails = simulatedAttempts
		case n < 38:
			s.plan.gives = true
		case n == 38:
			s.plan.kills = true
		}
		m.tasks[id] = s
	}
	return s
}

func (s *subject) note(of func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of()
}

func (s *subject) sent()     { s.note(func() { s.wasSent = true }) }
func (s *subject) asked()    { s.note(func() { s.canceled = true }) }
func (s *subject) replayed() { s.note(func() { s.failures = 0 }) }

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
	r.lease = m.leaseOf(p, r.session)
	m.log = append(m.log, fmt.Sprintf("%s %s %d.%d.%d run %d starts at %s, fence %d", time.Now().Format("04:05.000"), s.id, r.g, r.t, r.a, r.number, p.cfgNode(), r.fence))
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
	}
	if r.a > 1+s.failures && !m.flush {
		s.wrong("attempt %d after %d failures", r.a, s.failures)
	}
	s.runs = append(s.runs, r)
	return r
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
		s.wrong("two live sessions in one attempt: run %d of %s goes on", before.number, before.process.cfgNode())
	case before.g < r.g:
	case before.finished && before.answer == nil:
		s.wrong("run %d had succeeded", before.number)
	case before.finished && r.t <= before.t && !given(before):
		s.wrong("run %d had ended turn %d: %v", before.number, before.t, before.answer)
	}
}

// given says whether a run was given up for another reason than the end of its session: it was canceled, or taken over.
func given(r *stint) bool { return r.ctx.Err() != nil }

func (p *process) cfgNode() string { return p.prefix }

func (m *simulation) leaseOf(p *process, session string) *lease.Lease {
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
	r.ended, r.answer, r.finished = true, err, r.ctx.Err() == nil
	var snoozed *task.SnoozeError
	if err != nil && r.finished && !errors.As(err, &snoozed) {
		r.of.failures++
	}
	m.log = append(m.log, fmt.Sprintf("%s %s run %d ends: %v (context %v)", time.Now().Format("04:05.000"), r.of.id, r.number, err, r.ctx.Err()))
}

// expire ends a session for the others. What it still runs alone then may be taken for poison, whether its process has died
// or was only silent for too long.
func (m *simulation) expire(session string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.c.set(session, false)
	for _, s := range m.tasks {
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
		s.log = append(s.log, fmt.Sprintf("%s %s says %q", time.Now().Format("04:05.000"), s.id, is))
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

// tick lets a little time pass and looks at everything.
func (m *simulation) tick() {
	time.Sleep(250 * time.Millisecond)
	synctest.Wait()
	for i := range len(m.tasks) {
		m.subject(fmt.Sprintf("job-%d", i)).look()
	}
	if !m.flush {
		m.commits()
	}
}

// commits checks that an offset is committed only if its record is settled: its task has come further, or another record
// of the same turn is there to go on with.
func (m *simulation) commits() {
	for _, prefix := range []string{"red", "green", "blue"} {
		info := m.s.cluster.GroupInfo(names.Group(prefix, "tasks"))
		if info == nil {
			continue
		}
		m.courier.mu.Lock()
		for _, l := range m.courier.seen {
			below := func(l lying) bool {
				return l.pending && l.offset < info.Commits[names.Pending("tasks")][l.partition].Offset
			}
			if !below(l) || l.checked[prefix] {
				continue
			}
			of := m.subject(l.id)
			m.mu.Lock()
			is := of.claim
			m.mu.Unlock()
			ok := is.Generation > l.g || is.Generation == l.g && (is.Turn > l.t || is.State.Terminal())
			for _, other := range m.courier.seen {
				ok = ok || other.id == l.id && (other.g > l.g || other.g == l.g && other.t >= l.t) && !below(other)
			}
			if !ok {
				m.t.Errorf("%s %s: %s has committed %d.%d at %d/%d, and its claim says %q", time.Now().Format("04:05.000"), l.id, prefix, l.g, l.t, l.partition, l.offset, is)
			}
			l.checked[prefix] = true
		}
		m.courier.mu.Unlock()
	}
}

// over says whether all groups have committed all there is, and nothing waits.
func (m *simulation) over(prefixes []string) bool {
	m.courier.mu.Lock()
	waiting := m.courier.waiting
	m.courier.mu.Unlock()
	if waiting > 0 {
		return false
	}
	for _, prefix := range prefixes {
		info := m.s.cluster.GroupInfo(names.Group(prefix, "tasks"))
		for _, p := range m.s.cluster.PartitionInfos(names.Pending("tasks")) {
			if info == nil || info.Commits[names.Pending("tasks")][p.Partition].Offset < p.HighWatermark {
				return false
			}
		}
	}
	return true
}

// unfinished tells what did not end.
func (m *simulation) unfinished(prefixes []string) {
	m.t.Errorf("it does not come to an end: %d wait in the tiers", m.courier.waiting)
	for _, prefix := range prefixes {
		info := m.s.cluster.GroupInfo(names.Group(prefix, "tasks"))
		for _, p := range m.s.cluster.PartitionInfos(names.Pending("tasks")) {
			m.t.Logf("%s: committed %d of %d in %d", prefix, info.Commits[names.Pending("tasks")][p.Partition].Offset, p.HighWatermark, p.Partition)
		}
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
	for _, s := range m.tasks {
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

// A courier is the retry tiers' way back to the queue, at the due time or soon after, and now and then twice. It notes
// every record that it sees.
type courier struct {
	*simulation
	mu      sync.Mutex
	seen    []lying
	waiting int // in the tiers
}

// A lying record.
type lying struct {
	pending   bool
	partition int32
	offset    int64
	id        string
	g, t      int
	checked   map[string]bool
}

func (m *simulation) deliver(prefixes []string) *courier {
	k := &courier{simulation: m}
	topics := []string{names.Pending("tasks")}
	for _, prefix := range prefixes {
		topics = append(topics, names.RetryMinute(prefix)) // nothing is due later than an hour ahead
	}
	client := m.s.dial(kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	m.t.Cleanup(func() {
		cancel()
		<-done
	})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(k.see)
		}
	}()
	return k
}

func (k *courier) see(r *kgo.Record) {
	var tk task.Task
	stamp, err := record.ReadStamp(r)
	if err := errors.Join(err, record.Decode(r, &tk)); err != nil {
		k.t.Error(err)
	}
	pending := r.Topic == names.Pending("tasks")
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen = append(k.seen, lying{pending, r.Partition, r.Offset, tk.ID, tk.Generation, tk.Turn, map[string]bool{}})
	if pending {
		return
	}
	k.waiting++
	d := k.dice(tk.ID, -1000-int(r.Offset)-tk.Turn)
	copies := 1 + max(0, d.IntN(8)-6)
	time.AfterFunc(max(time.Until(stamp.Due), 0), func() {
		for range copies {
			to := record.Move(r, names.Pending("tasks"), r.Key, record.Stamp{Generation: tk.Generation, Turn: tk.Turn, Attempt: tk.Attempt, Err: stamp.Err, FirstErr: stamp.FirstErr})
			to.Partition = int32(d.IntN(2))
			k.produce(to)
		}
		k.mu.Lock()
		k.waiting--
		k.mu.Unlock()
	})
}
