package tasktier

import (
	"context"
	"errors"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/coord/control"
	"github.com/tasktier/tasktier/coord/limit"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// A membership is a node's part in the cluster: a session in etcd, by which others know whether its claims still count and
// whether it still leads, the slots of limited types that it has, what operators say, and the claims in Redis.
type membership struct {
	claims   *claim.Store // nil without Redis
	redis    redis.UniversalClient
	etcd     *clientv3.Client
	coord    *coord.Membership
	limits   *limit.Limiter
	steering *steering

	leave, stop  context.CancelFunc
	ran, steered sync.WaitGroup
}

// join opens the claims and registers this process; nil for a node without etcd, which is on its own. Without a redis
// section tasks are done at least once.
func (n *Node) join(ctx context.Context) (_ *membership, err error) {
	if n.cfg.Etcd == nil {
		return nil, nil
	}
	m := &membership{leave: func() {}, stop: func() {}}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if n.cfg.Redis != nil {
		if err = n.openClaims(ctx, m); err != nil {
			return nil, err
		}
	}
	if m.etcd, err = EtcdClient(*n.cfg.Etcd); err != nil {
		return nil, err
	}
	if m.coord, err = coord.New(coord.Config{
		Client: m.etcd, Prefix: n.cfg.Etcd.Prefix, TTL: n.cfg.Node.LeaseTTL, Entry: n.entry(), Healthy: n.healthy, Log: n.log,
	}); err != nil {
		return nil, err
	}
	running, leave := context.WithCancel(context.WithoutCancel(ctx))
	m.leave = leave
	m.ran.Go(func() { m.coord.Run(running) }) //nolint:errcheck // it was not run before
	once, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	if _, err = m.coord.Wait(once); err != nil {
		return nil, &UnreachableError{Server: "etcd", Addresses: n.cfg.Etcd.Endpoints, Err: err}
	}
	if m.limits, err = limit.New(limit.Config{
		Client: m.etcd, Prefix: n.cfg.Etcd.Prefix, Members: m.coord, Node: n.cfg.Node.Name, Log: n.log,
	}); err != nil {
		return nil, err
	}
	said, err := control.Open(once, m.etcd, n.cfg.Etcd.Prefix, n.log)
	if err != nil {
		return nil, &UnreachableError{Server: "etcd", Addresses: n.cfg.Etcd.Endpoints, Err: err}
	}
	m.steering = newSteering(n.cfg, m.limits, n.log)
	m.steering.hear(said.State())
	steered, stop := context.WithCancel(running)
	m.stop = stop
	m.steered.Go(func() { said.Run(steered, m.steering.hear) }) //nolint:errcheck // it never fails
	m.steered.Go(func() { m.limits.Run(steered) })              //nolint:errcheck // it was not run before
	return m, nil
}

func (n *Node) openClaims(ctx context.Context, m *membership) (err error) {
	if m.redis, err = RedisClient(*n.cfg.Redis); err != nil {
		return err
	}
	if n.cfg.Redis.WhenAway != config.Proceed {
		if err = ReachRedis(ctx, m.redis, *n.cfg.Redis); err != nil {
			return err
		}
	}
	n.warnOfEviction(ctx, m.redis)
	m.claims = claim.NewStore(m.redis, n.cfg.Kafka.Prefix)
	return nil
}

// close gives the session up, so that others see at once that this process is gone.
func (m *membership) close() {
	if m == nil {
		return
	}
	m.stop()
	m.steered.Wait() // slots are given back while there is a session
	m.leave()
	m.ran.Wait()
	if m.etcd != nil {
		m.etcd.Close()
	}
	if m.redis != nil {
		m.redis.Close()
	}
}

// entry is what the registry says of this node.
func (n *Node) entry() coord.Entry {
	e := coord.Entry{
		Name: n.cfg.Node.Name, ClaimFormat: claim.Format, Queues: n.queueNames(), Types: n.mux.Types(),
		Concurrency: n.cfg.Node.Concurrency, Version: "(devel)",
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		e.Version = info.Main.Version
	}
	return e
}

// healthy says what keeps the consumer from making progress; a session is kept only while nothing does.
func (n *Node) healthy() error {
	if c, _ := n.running(); c != nil {
		return c.Healthy()
	}
	return nil
}

// warnOfEviction warns of a Redis that may forget claims. `tasktier doctor` says the same.
func (n *Node) warnOfEviction(ctx context.Context, client redis.UniversalClient) {
	info, err := client.Info(ctx, "memory").Result()
	if err != nil {
		return // doctor says why
	}
	for line := range strings.SplitSeq(info, "\n") {
		policy, is := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:")
		if is && policy != "noeviction" {
			n.log.Warn("redis may evict claims, and finished tasks would run again; set maxmemory-policy noeviction", zap.String("policy", policy))
		}
	}
}

// errNoEtcd is what is wrong with claims whose owners nobody knows.
var errNoEtcd = errors.New("is missing: redis keeps the claims, and only etcd knows whose owner is gone; add an etcd section, or leave redis out and tasks are done at least once")
