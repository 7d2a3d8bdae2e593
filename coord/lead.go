package coord

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/tasktier/tasktier/internal/nap"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// A Duty is what one member at a time does for all. Its context ends when that of [Membership.Lead] does, when the session
// is not trusted any more, and when the leader's key is gone. Then it must return within the margin of the trust, or the
// next leader works beside it; so it is to do no harm when two do it for a moment, and what it writes to etcd it writes
// under [Term.Lasts].
//
// A duty that returns before its context has ended gives the lead up: with an error, because this member can't do it,
// another one may. This one tries again after a pause.
type Duty func(ctx context.Context, t Term) error

var (
	// ErrTermOver is why a duty's context has ended when the leader's key is gone though the session goes on: somebody
	// deleted it.
	ErrTermOver = errors.New("term is over: the leader's key is gone")
	// ErrLeading says that a second Lead of one name was called.
	ErrLeading = errors.New("this membership leads in it, or tries to, already")
)

// The pauses of a member that could not do its duty: it doubles from the shortest to the longest, and begins anew when the
// duty was done for as long as steady.
const (
	shortestPause = 500 * time.Millisecond
	longestPause  = 30 * time.Second
	steady        = time.Minute
)

// Lead does a duty whenever this member is the leader in it, until ctx ends; then the duty ends, the lead is given up, so
// that another member has it at once, and Lead returns nil. For that it needs Run, which is to be ended after it.
//
// All members that call it with the same name compete, and those of other names don't matter. The name is of ASCII
// letters, digits, '-', '_' and '.'; another one is an error at once, and so is one that this membership leads in already:
// both would take the key for theirs ([ErrLeading]). When Run has returned, Lead returns [ErrOver].
func (m *Membership) Lead(ctx context.Context, name string, duty Duty) error {
	if err := m.enter(name); err != nil {
		return fmt.Errorf("lead in %q: %w", name, err)
	}
	defer m.leaveRace(name)
	c := &candidate{m: m, name: name, key: leaderKey(m.cfg.Prefix, name), duty: duty}
	pause := nap.Backoff(shortestPause, longestPause, backoff.WithMultiplier(2))
	for {
		s, err := m.registered(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("lead in %q: %w", name, err)
		}
		begun := time.Now()
		if c.serve(ctx, s) {
			continue
		}
		if time.Since(begun) >= steady {
			pause.Reset()
		}
		nap.For(ctx, pause.NextBackOff())
	}
}

// enter takes a name, and leaveRace gives it back.
func (m *Membership) enter(name string) error {
	if !validDuty(name) {
		return errors.New("it is no name for a duty: use ASCII letters, digits, '-', '_' and '.'")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.duties[name] {
		return ErrLeading
	}
	m.duties[name] = true
	return nil
}

func (m *Membership) leaveRace(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.duties, name)
}

// registered waits for a session that is registered and not over.
func (m *Membership) registered(ctx context.Context) (*session, error) {
	for {
		m.mu.Lock()
		s, changed, over := m.current, m.changed, m.over
		m.mu.Unlock()
		switch {
		case over:
			return nil, ErrOver
		case s.open() != nil && s.grant != clientv3.NoLease:
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// serve campaigns under a session and does the duty when it is won. It returns false when the duty was not up to it, true
// when the session, the term or ctx has ended.
func (c *candidate) serve(ctx context.Context, s *session) bool {
	trusted, cancel := s.within(ctx)
	defer cancel()
	defer c.withdraw(ctx, s)
	t, won := c.campaign(trusted, s)
	if !won {
		return true
	}
	c.past = t.revision
	log := c.m.cfg.Log.With(zap.String("duty", c.name), zap.Int64("term", t.revision))
	log.Info("leading", zap.String("session", s.lease.ID()))
	why, said := c.do(trusted, t)
	if why == nil {
		log.Warn("can't do the duty of a leader; giving the lead up, and trying again later", zap.Error(said))
		return false
	}
	log.Info("leading no more", zap.NamedError("reason", why))
	return true
}

// do does the duty in a term, and returns why its context had ended; nil if it had not, and then what the duty says.
func (c *candidate) do(ctx context.Context, t Term) (why, said error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var guarding sync.WaitGroup
	guarding.Go(func() { cancel(c.guard(ctx, t)) })
	defer guarding.Wait()
	defer cancel(nil)
	said = c.duty(ctx, t)
	return context.Cause(ctx), said
}

// within is ctx, ended also when the session is: at the latest when its trust has run out, which is before etcd lets
// anybody see it gone. The caller calls the function it returns.
func (s *session) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.lease.Context(), func() { cancel(context.Cause(s.lease.Context())) })
	return ctx, func() { stop(); cancel(nil) }
}

// leaderValue is what a leader's key says.
func (m *Membership) leaderValue(s *session) string {
	value, _ := json.Marshal(Leader{Session: s.lease.ID(), Node: m.cfg.Entry.Name}) //nolint:errchkjson // two strings
	return string(value)
}
