package coord

import (
	"context"
	"fmt"

	"github.com/tasktier/tasktier/coord/lease"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Registered is a session that stands in the registry, for those who keep keys of their own under it.
type Registered struct {
	// Lease says how long the session may be believed in.
	Lease *lease.Lease
	// Grant is etcd's lease. Keys under it go when the session does, which is never before the trust in Lease has ended.
	Grant clientv3.LeaseID
}

// Registered waits for a session that is registered and not over, and returns it. It ends with ctx, and with Run: [ErrOver].
func (m *Membership) Registered(ctx context.Context) (Registered, error) {
	s, err := m.registered(ctx)
	if err != nil {
		return Registered{}, fmt.Errorf("wait for a registered session in etcd at %s: %w", endpoints(m.cfg.Client), err)
	}
	return Registered{Lease: s.lease, Grant: s.grant}, nil
}
