package inmemory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
)

// A Registry knows which sessions are alive. It stands in for etcd. Sessions are named "session-1", "session-2", … in the
// order in which they are opened.
type Registry struct {
	mu          sync.Mutex
	alive       map[string]bool
	opened      int
	unreachable bool
}

// NewRegistry returns a registry without sessions.
func NewRegistry() *Registry { return &Registry{alive: make(map[string]bool)} }

// SetAlive sets what the registry reports of a session.
func (r *Registry) SetAlive(session string, alive bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alive[session] = alive
}

// Alive reports whether a session is alive. While the registry is unreachable it waits for the end of ctx.
func (r *Registry) Alive(ctx context.Context, session string) (bool, error) {
	r.mu.Lock()
	unreachable, alive := r.unreachable, r.alive[session]
	r.mu.Unlock()
	if unreachable {
		<-ctx.Done()
		return false, ctx.Err()
	}
	return alive, nil
}

// Disconnect makes the registry unreachable, for good.
func (r *Registry) Disconnect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unreachable = true
}

// Join returns a new member with a session.
func (r *Registry) Join() *Member {
	m := &Member{Registry: r, changed: make(chan struct{})}
	m.OpenSession()
	return m
}

// A Member is a process in the registry. It has at most one session at a time.
type Member struct {
	*Registry
	current *lease.Lease
	changed chan struct{}
}

// OpenSession opens a new session of the member and returns its id.
func (m *Member) OpenSession() (session string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened++
	l := lease.New(fmt.Sprintf("session-%d", m.opened))
	l.Trust(time.Now().Add(1000 * time.Hour))
	m.current, m.alive[l.ID()] = l, true
	close(m.changed)
	m.changed = make(chan struct{})
	return l.ID()
}

// EndLease ends the lease of the member's session, as a member does that can't renew it, and returns the id of that session;
// "" if the member has none. The registry goes on to report the session as alive.
func (m *Member) EndLease() (session string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current != nil {
		session = m.current.ID()
		m.current.End()
		m.current = nil
	}
	return session
}

// CloseSession ends the member's session, for the member and in the registry.
func (m *Member) CloseSession() {
	m.SetAlive(m.EndLease(), false)
}

// Lease returns the lease of the member's session, nil if it has none.
func (m *Member) Lease() *lease.Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current
}

// Wait waits until the member has a session, and returns its lease.
func (m *Member) Wait(ctx context.Context) (*lease.Lease, error) {
	for {
		m.mu.Lock()
		l, changed := m.current, m.changed
		m.mu.Unlock()
		if l != nil {
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
