package coord

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/internal/nap"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// open opens a session, for as long as it takes, and returns it registered; nil if ctx ended before. lost is when the last
// one was, zero if this is the first: a TTL later it goes on with a lease that is unregistered, and registers that.
func (m *Membership) open(ctx context.Context, lost time.Time) *session {
	pause := nap.Backoff(m.pace.pause/25, m.pace.pause)
	var unregistered *lease.Lease
	var goOn time.Time // without etcd; zero: never, or it was done
	if !lost.IsZero() {
		goOn = lost.Add(m.cfg.TTL)
	}
	for ctx.Err() == nil {
		err := m.cfg.Healthy()
		if err == nil {
			var s *session
			if s, err = m.try(ctx, unregistered, goOn); err == nil {
				return s
			}
		} else {
			err = unhealthy(err)
			if !goOn.IsZero() {
				goOn = time.Now().Add(m.cfg.TTL) // etcd is not what is missing
			}
		}
		m.failed(ctx, err)

		wait := pause.NextBackOff()
		if !goOn.IsZero() {
			if wait = min(wait, time.Until(goOn)); wait <= 0 {
				goOn, unregistered = time.Time{}, lease.New(newID(usedFirst))
				m.set(&session{lease: unregistered})
				m.cfg.Log.Warn("etcd is away; going on without a registered session, and taking nothing over",
					zap.String("session", unregistered.ID()), zap.Error(err))
				continue
			}
		}
		nap.For(ctx, wait)
	}
	return nil
}

// try tries once to register l, or a new lease if that is nil, and makes it the current session. A new one is seen by
// nobody before it is registered and trusted. It takes no longer than until goOn, if that is not zero.
func (m *Membership) try(ctx context.Context, l *lease.Lease, goOn time.Time) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, m.pace.attempt)
	defer cancel()
	if !goOn.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, goOn)
		defer cancel()
	}
	if l == nil {
		l = lease.New(newID(registeredFirst))
	}
	s, err := m.register(ctx, l)
	if err != nil {
		return nil, fmt.Errorf("register session in etcd at %s: %w", endpoints(m.cfg.Client), err)
	}
	m.set(s)
	m.cfg.Log.Info("session opened", zap.String("session", l.ID()), zap.String("node", m.cfg.Entry.Name))
	return s, nil
}

func (m *Membership) register(ctx context.Context, l *lease.Lease) (*session, error) {
	// What an earlier try may have left has to go first: it can have the same key.
	if err := m.sweep(ctx); err != nil {
		return nil, err
	}
	sent := time.Now()
	grant, err := m.cfg.Client.Grant(ctx, int64(m.cfg.TTL/time.Second))
	if err != nil {
		return nil, fmt.Errorf("obtain lease: %w", err)
	}
	m.loose = grant.ID
	granted := time.Duration(grant.TTL) * time.Second
	if granted > m.cfg.TTL {
		m.cfg.Log.Warn("etcd grants no lease as short as asked for, so a node that dies is missed later; its election timeout decides that",
			zap.Duration("asked", m.cfg.TTL), zap.Duration("granted", granted))
	}

	key := m.key(l.ID())
	put, err := m.cfg.Client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, m.entry, clientv3.WithLease(grant.ID))).
		Commit()
	switch {
	case err != nil:
		return nil, fmt.Errorf("write %s: %w", key, err)
	case !put.Succeeded:
		return nil, fmt.Errorf("write %s: it is there already", key)
	}
	l.Trust(m.pace.confirmed(sent, granted))
	if !l.Trusted() {
		return nil, errors.New("it took longer than the session would be trusted")
	}
	m.loose = clientv3.NoLease
	return &session{lease: l, grant: grant.ID, revision: put.Header.Revision, sent: sent, since: time.Now()}, nil
}

// sweep revokes the lease that is loose, and with it the key that it may have.
func (m *Membership) sweep(ctx context.Context) error {
	if m.loose == clientv3.NoLease {
		return nil
	}
	if _, err := m.cfg.Client.Revoke(ctx, m.loose); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("revoke lease: %w", err)
	}
	m.loose = clientv3.NoLease
	return nil
}

// keep keeps a session alive until ctx or the session ends, and returns why.
func (m *Membership) keep(ctx context.Context, s *session) error {
	renew := func(ctx context.Context) (time.Duration, error) {
		reply, err := m.cfg.Client.KeepAliveOnce(ctx, s.grant)
		if err != nil {
			return 0, err
		}
		return time.Duration(reply.TTL) * time.Second, nil
	}
	return m.pace.keep(ctx, s.lease, s.sent, m.cfg.Healthy, renew, func(err error) { m.failed(ctx, err) })
}

// failed notes why there is no session, or soon will be none.
func (m *Membership) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // stopped, not failed
	}
	m.mu.Lock()
	m.trouble = err
	m.mu.Unlock()
	level := zap.DebugLevel
	if m.warnings.Allow() {
		level = zap.WarnLevel
	}
	m.cfg.Log.Log(level, "session is not confirmed; trying on", zap.Error(err))
}
