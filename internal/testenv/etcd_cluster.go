package testenv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// EtcdCluster is an etcd of several members on this machine, each a process with
// methods of its own to kill, start, pause and resume it. A leader that dies or is
// paused is missed by the others after 1 to 2 s, and the leases of clients then
// count anew. The shortest lease is of 2 s. A member starts only while it makes a
// majority with those that run.
type EtcdCluster struct {
	Members []*EtcdServer
}

// Endpoints is the members' client addresses, host:port.
func (c *EtcdCluster) Endpoints() []string {
	endpoints := make([]string, len(c.Members))
	for i, m := range c.Members {
		endpoints[i] = m.endpoint
	}
	return endpoints
}

// Leader waits until the members that run agree on one of them as their leader,
// and returns it. None of them may be paused. It waits at most 90 s.
func (c *EtcdCluster) Leader() (*EtcdServer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	var leader *EtcdServer
	if err := poll(ctx, func() (err error) {
		leader, err = c.agreed(ctx)
		return err
	}); err != nil {
		return nil, fmt.Errorf("find leader of etcd cluster: %w", err)
	}
	return leader, nil
}

// agreed asks each member that runs for its leader.
func (c *EtcdCluster) agreed(ctx context.Context) (*EtcdServer, error) {
	members := make(map[uint64]*EtcdServer)
	leaders := make(map[uint64]bool)
	for _, m := range c.Members {
		if !m.running() {
			continue
		}
		status, err := m.status(ctx)
		if err != nil {
			return nil, err
		}
		members[status.Header.MemberId] = m
		leaders[status.Leader] = true
	}
	if len(leaders) != 1 {
		return nil, fmt.Errorf("%d of the %d members that run agree on none", len(members), len(c.Members))
	}
	for id := range leaders {
		if leader := members[id]; leader != nil {
			return leader, nil
		}
	}
	return nil, errors.New("none that runs leads")
}

func (e *EtcdServer) status(ctx context.Context) (*clientv3.StatusResponse, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: e.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	status, err := client.Status(ctx, e.endpoint)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.name, err)
	}
	return status, nil
}

func newEtcdCluster(dir string, n int) (*EtcdCluster, error) {
	if n < 1 {
		return nil, fmt.Errorf("prepare etcd cluster: %d members", n)
	}
	reserved := make([]ports, n)
	urls := make([]string, n)
	for i := range n {
		var err error
		if reserved[i], err = reservePorts(2); err != nil {
			for _, p := range reserved[:i] {
				p.release()
			}
			return nil, err
		}
		urls[i] = fmt.Sprintf("etcd-%d=%s", i+1, peerURL(reserved[i]))
	}
	cluster := &EtcdCluster{}
	var errs []error
	for i, ports := range reserved {
		member, err := newEtcdMember(dir, fmt.Sprintf("etcd-%d", i+1), ports, []string{
			"--initial-cluster", strings.Join(urls, ","),
			// Members that share processors with tests are not missed too soon.
			"--heartbeat-interval", "100", "--election-timeout", "1000",
		})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		cluster.Members = append(cluster.Members, member)
	}
	if len(errs) > 0 {
		return nil, errors.Join(append(errs, cluster.close())...)
	}
	return cluster, nil
}

func (c *EtcdCluster) start() error { return c.each((*EtcdServer).Start) }

func (c *EtcdCluster) close() error { return c.each((*EtcdServer).close) }

func (c *EtcdCluster) each(act func(*EtcdServer) error) error {
	errs := make([]error, len(c.Members))
	var wg sync.WaitGroup
	for i, m := range c.Members {
		wg.Go(func() { errs[i] = act(m) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
