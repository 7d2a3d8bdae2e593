package coord

import (
	"context"
	"errors"
	"fmt"

	"github.com/tasktier/tasktier/internal/nap"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// A candidate is this member in the race for one duty.
type candidate struct {
	m    *Membership
	name string
	key  string
	duty Duty
	past int64 // the number of its last term, which is not begun again
}

// campaign waits until the leader's key is this session's. False: ctx ended before.
func (c *candidate) campaign(ctx context.Context, s *session) (Term, bool) {
	pause := nap.Backoff(c.m.pace.pause/25, c.m.pace.pause)
	for ctx.Err() == nil {
		t, won, err := c.try(ctx, s)
		switch {
		case won && ctx.Err() == nil && s.lease.Trusted():
			return t, true
		case err != nil && ctx.Err() == nil:
			level := zap.DebugLevel
			if c.m.warnings.Allow() {
				level = zap.WarnLevel
			}
			c.m.cfg.Log.Log(level, "can't compete for a duty; trying on", zap.String("duty", c.name), zap.Error(err))
			nap.For(ctx, pause.NextBackOff())
		}
	}
	return Term{}, false
}

// try takes the leader's key if there is none. Else it waits until that has changed.
func (c *candidate) try(ctx context.Context, s *session) (t Term, won bool, err error) {
	holder, revision, err := c.claim(ctx, s)
	switch {
	case err != nil:
		return Term{}, false, err
	case holder == nil:
		return Term{c.key, revision}, true, nil
	case holder.Lease != int64(s.grant):
		return Term{}, false, c.over(ctx, Term{c.key, holder.CreateRevision}, revision)
	case holder.CreateRevision > c.past:
		return Term{c.key, holder.CreateRevision}, true, nil // written by a try whose reply was lost
	default:
		return Term{}, false, c.drop(ctx, s) // of a term that has ended: its end did not get through
	}
}

// claim writes the leader's key if there is none, else it returns the one there is. The revision is that of the answer.
func (c *candidate) claim(ctx context.Context, s *session) (holder *mvccpb.KeyValue, revision int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.m.pace.attempt)
	defer cancel()
	reply, err := c.m.cfg.Client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(c.key), "=", 0)).
		Then(clientv3.OpPut(c.key, c.m.leaderValue(s), clientv3.WithLease(s.grant))).
		Else(clientv3.OpGet(c.key)).
		Commit()
	if err != nil {
		return nil, 0, fmt.Errorf("write %s: %w", c.key, err)
	}
	if !reply.Succeeded {
		holder = reply.Responses[0].GetResponseRange().Kvs[0]
	}
	return holder, reply.Header.Revision, nil
}

// over waits until a term that lasted at a revision has ended. An error says that it can't be followed.
func (c *candidate) over(ctx context.Context, t Term, revision int64) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for reply := range c.m.cfg.Client.Watch(ctx, t.key, clientv3.WithRev(revision+1)) {
		if err := reply.Err(); err != nil {
			return fmt.Errorf("watch %s: %w", t.key, err)
		}
		for _, event := range reply.Events {
			if event.Type == clientv3.EventTypeDelete || event.Kv.CreateRevision != t.revision {
				return nil
			}
		}
	}
	return fmt.Errorf("watch %s: it broke off", t.key)
}

// guard waits until a term of ours has ended though its session goes on, and returns [ErrTermOver], or why ctx has ended.
// When the watch breaks off, as it does when etcd compacts what it had yet to tell, the key is read anew.
func (c *candidate) guard(ctx context.Context, t Term) error {
	for {
		lasts, revision, err := c.lasts(ctx, t)
		if err == nil && lasts {
			err = c.over(ctx, t, revision)
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			return ErrTermOver
		}
		nap.For(ctx, c.m.pace.again) // if etcd is away for long, the session ends
	}
}

// lasts asks whether a term does, and at which revision that was true.
func (c *candidate) lasts(ctx context.Context, t Term) (bool, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, c.m.pace.bound)
	defer cancel()
	reply, err := c.m.cfg.Client.Get(ctx, t.key) // a transaction that only compares could be answered by a member that is behind
	if err != nil {
		return false, 0, err
	}
	return len(reply.Kvs) > 0 && reply.Kvs[0].CreateRevision == t.revision, reply.Header.Revision, nil
}

// drop deletes the leader's key if it is of this session: only this candidate writes it there.
func (c *candidate) drop(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, min(leaveLimit, c.m.pace.attempt))
	defer cancel()
	_, err := c.m.cfg.Client.Txn(ctx).
		If(clientv3.Compare(clientv3.LeaseValue(c.key), "=", s.grant)).
		Then(clientv3.OpDelete(c.key)).
		Commit()
	if err != nil {
		return fmt.Errorf("delete %s: %w", c.key, err)
	}
	return nil
}

// withdraw leaves no key behind, unless the session is over and the key with it. It need not succeed: the key goes with
// the session at the latest.
func (c *candidate) withdraw(ctx context.Context, s *session) {
	if s.open() == nil {
		return
	}
	if err := c.drop(context.WithoutCancel(ctx), s); err != nil && !errors.Is(err, context.Canceled) {
		c.m.cfg.Log.Warn("could not give the lead up; others wait for it until this session is over",
			zap.String("duty", c.name), zap.Error(err))
	}
}
