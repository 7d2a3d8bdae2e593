package limit

import (
	"context"
	"errors"
	"time"

	"github.com/tasktier/tasktier/coord"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	defaultFair   = 2 * time.Second
	defaultLinger = 500 * time.Millisecond

	// maxN is the most slots that the numbers in keys can tell apart.
	maxN = 1_000_000
)

// Config says where slots are kept. Zero values mean the default that stands with the field.
type Config struct {
	// Client reaches etcd. It stays its owner's; see [coord.Config]. Required.
	Client *clientv3.Client
	// Prefix begins all keys, as that of the membership does. Default "/tasktier".
	Prefix string
	// Members gives the session under which slots are held: a [*coord.Membership]. A membership has one limiter. Required.
	Members interface {
		Registered(ctx context.Context) (coord.Registered, error)
	}
	// Node is the node's name, for people.
	Node string
	// Fair is how long a node may keep a slot in use, task after task, while another node waits that has fewer. Default 2 s.
	Fair time.Duration
	// Linger is how long a slot that nobody here wants is kept while nobody waits. Default 500 ms.
	Linger time.Duration
	// Log receives what an operator acts on. Default: nothing.
	Log *zap.Logger
}

// A Limit is how many tasks of a type may be at work at once in the cluster.
type Limit struct {
	// N is the number of slots, 1,000,000 at most. 0 or less: no limit, and no slots.
	N int
	// Lasts is the condition, for a transaction in etcd, that N is what counts. No slot is taken when it does not hold. It
	// takes part if Conditional is true.
	Lasts       clientv3.Cmp
	Conditional bool
}

func (cfg Config) withDefaults() (Config, error) {
	switch {
	case cfg.Client == nil:
		return cfg, errors.New("configure limits: no etcd client")
	case cfg.Members == nil:
		return cfg, errors.New("configure limits: no membership")
	case cfg.Fair < 0 || cfg.Linger < 0:
		return cfg, errors.New("configure limits: a negative time")
	}
	if cfg.Fair == 0 {
		cfg.Fair = defaultFair
	}
	if cfg.Linger == 0 {
		cfg.Linger = defaultLinger
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return cfg, nil
}
