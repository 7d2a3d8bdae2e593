package coord

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/internal/throttle"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// leaveLimit is how long giving a session up may take. What is not revoked by then runs out by itself.
const leaveLimit = 2 * time.Second

// ErrOver is what Wait returns when Run has returned.
var ErrOver = errors.New("membership is over")

// A Membership keeps a session of this process open. It is safe for concurrent use.
type Membership struct {
	cfg   Config
	pace  pace
	entry string // as it stands in the registry
	ran   atomic.Bool

	// loose is a lease of etcd that was granted and led to no session; it may have a key. Only Run's goroutine has it.
	loose clientv3.LeaseID

	mu      sync.Mutex
	current *session      // nil while there is none
	changed chan struct{} // closed at every change of current
	over    bool
	trouble error           // why the last try to open a session failed
	duties  map[string]bool // that Lead is at

	warnings throttle.Throttle
}

// A session is a lease and its registration.
type session struct {
	lease *lease.Lease
	// The rest is zero while it is unregistered.
	grant    clientv3.LeaseID
	revision int64     // of etcd when its key was written
	sent     time.Time // when the lease was asked for
	since    time.Time // when all that was confirmed
}

// New returns a membership that Run makes effective.
func New(cfg Config) (*Membership, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	entry, err := cfg.Entry.encode()
	if err != nil {
		return nil, err
	}
	return &Membership{cfg: cfg, pace: newPace(cfg.TTL), entry: entry, changed: make(chan struct{}), duties: make(map[string]bool)}, nil
}

// Run keeps a session open until ctx ends, then gives it up: its lease ends, and its key is deleted at once. So end ctx
// last, when nothing is done in the session's name any more. Whatever etcd does, Run goes on, and it returns nil; it can be
// called once.
func (m *Membership) Run(ctx context.Context) error {
	if m.ran.Swap(true) {
		return errors.New("run membership: it was run before; make a new one")
	}
	var watching sync.WaitGroup
	watching.Go(func() { m.watch(ctx) })
	defer watching.Wait()
	defer m.end()

	var lost time.Time // when the last session was; there was none before the first
	for {
		s := m.open(ctx, lost)
		if s == nil {
			m.leave(ctx)
			return nil
		}
		err := m.keep(ctx, s)
		if ctx.Err() != nil {
			s.lease.End()
			m.loose = s.grant
			m.leave(ctx)
			return nil
		}
		lost = time.Now()
		m.set(nil)
		m.cfg.Log.Warn("session lost; what ran in it is canceled, a new one is being opened",
			zap.String("session", s.lease.ID()), zap.Error(err))
	}
}

// leave deletes what is left of this process in etcd.
func (m *Membership) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveLimit)
	defer cancel()
	if err := m.sweep(ctx); err != nil {
		m.cfg.Log.Warn("could not leave the registry; the entry stays until its lease runs out",
			zap.Duration("ttl", m.cfg.TTL), zap.Error(err))
	}
}

// Lease returns the current session, registered or not, and nil while there is none.
func (m *Membership) Lease() *lease.Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current.open()
}

// Wait waits for a session, registered or not, that is not over, and returns it. It ends with ctx, then saying what the
// trouble is, and with Run: [ErrOver].
func (m *Membership) Wait(ctx context.Context) (*lease.Lease, error) {
	for {
		m.mu.Lock()
		l, changed, over := m.current.open(), m.changed, m.over
		m.mu.Unlock()
		switch {
		case l != nil:
			return l, nil
		case over:
			return nil, fmt.Errorf("wait for a session: %w", ErrOver)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			m.mu.Lock()
			defer m.mu.Unlock()
			err := fmt.Errorf("wait for a session in etcd at %s: %w", endpoints(m.cfg.Client), context.Cause(ctx))
			if m.trouble != nil {
				err = fmt.Errorf("%w; the last try: %w", err, m.trouble)
			}
			return nil, err
		}
	}
}

// open is the session's lease if that is not done.
func (s *session) open() *lease.Lease {
	if s == nil {
		return nil
	}
	select {
	case <-s.lease.Done():
		return nil
	default:
		return s.lease
	}
}

// set makes s the current session.
func (m *Membership) set(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current, m.trouble = s, nil
	close(m.changed)
	m.changed = make(chan struct{})
}

// end ends whatever session there is, and all waiting.
func (m *Membership) end() {
	m.mu.Lock()
	if m.current != nil {
		m.current.lease.End()
	}
	m.over = true
	m.mu.Unlock()
	m.set(nil)
}

// settled says whether this process has been registered for a TTL without a break.
func (m *Membership) settled() bool {
	m.mu.Lock()
	s := m.current
	m.mu.Unlock()
	return s != nil && s.grant != clientv3.NoLease && s.lease.Trusted() && time.Since(s.since) >= m.cfg.TTL
}
