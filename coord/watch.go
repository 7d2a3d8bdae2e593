package coord

import (
	"context"
	"strings"

	"github.com/tasktier/tasktier/internal/nap"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// watch follows the registry until ctx ends. Whenever the watch breaks off, because etcd compacted what it had yet to
// tell or has no leader, the registry is read anew, and the sessions that are missing left meanwhile.
func (m *Membership) watch(ctx context.Context) {
	pause := nap.Backoff(m.pace.pause/25, m.pace.pause)
	known := make(map[string]bool)
	for ctx.Err() == nil {
		revision, err := m.resync(ctx, known)
		if err == nil {
			pause.Reset()
			err = m.follow(ctx, known, revision)
		}
		m.cfg.Log.Debug("watch of the registry broke off; reading it anew", zap.Error(err))
		nap.For(ctx, pause.NextBackOff())
	}
}

// resync reads which sessions there are into known, and returns the revision it read at.
func (m *Membership) resync(ctx context.Context, known map[string]bool) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, m.pace.attempt)
	defer cancel()
	nodes := nodesKey(m.cfg.Prefix)
	reply, err := m.cfg.Client.Get(ctx, nodes, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return 0, err
	}
	revision := reply.Header.Revision
	present := make(map[string]bool, len(reply.Kvs))
	for _, kv := range reply.Kvs {
		present[strings.TrimPrefix(string(kv.Key), nodes)] = true
	}
	if id, ok := m.registeredBy(revision); ok {
		known[id] = true // it may have come and gone unseen, too
	}
	for id := range known {
		if !present[id] {
			delete(known, id)
			m.left(id, revision)
		}
	}
	for id := range present {
		known[id] = true
	}
	return revision, nil
}

// follow applies what happens after a revision, until the watch breaks off.
func (m *Membership) follow(ctx context.Context, known map[string]bool, revision int64) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	nodes := nodesKey(m.cfg.Prefix)
	for reply := range m.cfg.Client.Watch(ctx, nodes, clientv3.WithPrefix(), clientv3.WithRev(revision+1)) {
		if err := reply.Err(); err != nil {
			return err
		}
		for _, event := range reply.Events {
			id := strings.TrimPrefix(string(event.Kv.Key), nodes)
			if event.Type == clientv3.EventTypePut {
				known[id] = true
				continue
			}
			delete(known, id)
			m.left(id, event.Kv.ModRevision)
		}
	}
	return ctx.Err()
}

// left is told of a session whose key is absent at a revision.
func (m *Membership) left(id string, revision int64) {
	m.mu.Lock()
	s := m.current
	m.mu.Unlock()
	// Not if an earlier try with the same id was taken back: its key was gone before this one's was written.
	if s != nil && s.lease.ID() == id && s.grant != clientv3.NoLease && revision > s.revision {
		s.lease.End() // the others see this process gone, though its keepalives may still be confirmed
	}
	m.cfg.Gone(id)
}

// registeredBy returns the current session's id if that was registered at a revision or before.
func (m *Membership) registeredBy(revision int64) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.current; s != nil && s.grant != clientv3.NoLease && s.revision <= revision {
		return s.lease.ID(), true
	}
	return "", false
}
