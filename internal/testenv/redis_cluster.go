package testenv

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

const (
	redisMasters = 3
	redisSlots   = 16384
)

// RedisServers is a Redis Cluster on this machine, each node a process. A master
// that dies or is paused is missed by the others after 2 s. Without a replica the
// whole cluster then refuses to serve, until about 4 s after it is back; with one,
// the replica takes over within another second or two. It needs Redis 7.0.
type RedisServers struct {
	// Nodes are the three masters, then their replicas: at first node 3+i
	// copies node i%3. A fail-over changes the roles, not the places.
	Nodes []*RedisServer
}

// Addrs is the masters' addresses (as they were at the start), also of those
// that do not run now. A cluster client finds the other nodes through them.
func (c *RedisServers) Addrs() []string {
	addrs := make([]string, redisMasters)
	for i, n := range c.Nodes[:redisMasters] {
		addrs[i] = n.addr
	}
	return addrs
}

// newRedisCluster prepares three masters with so many replicas each in dir;
// start starts them.
func newRedisCluster(dir string, replicas int) (*RedisServers, error) {
	if replicas < 0 {
		return nil, fmt.Errorf("prepare redis cluster: %d replicas", replicas)
	}
	cluster := &RedisServers{}
	for i := range redisMasters * (1 + replicas) {
		node, err := newRedisNode(dir, i+1)
		if err != nil {
			return nil, errors.Join(err, cluster.close())
		}
		cluster.Nodes = append(cluster.Nodes, node)
	}
	return cluster, nil
}

func newRedisNode(dir string, number int) (*RedisServer, error) {
	// The nodes talk to each other on a port of their own. Where Redis would put
	// it by itself, 10,000 above the other, may be another test's port.
	ports, err := reservePorts(2)
	if err != nil {
		return nil, err
	}
	return newRedisServer(dir, fmt.Sprintf("redis-%d", number), ports, []string{
		"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
		"--cluster-port", strconv.Itoa(ports[1].number),
		"--cluster-announce-ip", "127.0.0.1",
		"--cluster-node-timeout", "2000",
		// A replica takes over however long it was without its master, and
		// copies nobody but the master it was given.
		"--cluster-replica-validity-factor", "0",
		"--cluster-allow-replica-migration", "no",
		"--repl-diskless-sync-delay", "0",
		// A replica counts only once it has heard something of its master.
		"--repl-ping-replica-period", "1",
	})
}

// start starts all nodes, makes them one cluster and returns when it serves.
func (c *RedisServers) start() error {
	if err := c.each((*RedisServer).Start); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if err := c.form(ctx); err != nil {
		return fmt.Errorf("form redis cluster: %w", err)
	}
	return c.AwaitServing()
}

func (c *RedisServers) close() error {
	return c.each((*RedisServer).close)
}

func (c *RedisServers) each(act func(*RedisServer) error) error {
	errs := make([]error, len(c.Nodes))
	var wg sync.WaitGroup
	for i, n := range c.Nodes {
		wg.Go(func() { errs[i] = act(n) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// form gives the masters their slots, introduces the first node to all others,
// and the replicas to their masters.
func (c *RedisServers) form(ctx context.Context) error {
	masters := make([]string, redisMasters) // their ids
	for i, node := range c.Nodes {
		if err := node.ask(func(client *redis.Client) error {
			if i < redisMasters {
				first, end := i*redisSlots/redisMasters, (i+1)*redisSlots/redisMasters
				if err := client.ClusterAddSlotsRange(ctx, first, end-1).Err(); err != nil {
					return err
				}
				var err error
				if masters[i], err = client.ClusterMyID(ctx).Result(); err != nil {
					return err
				}
			}
			// Nodes that meet with the same epoch would have to settle it first.
			return client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err()
		}); err != nil {
			return err
		}
	}
	if err := c.Nodes[0].ask(func(client *redis.Client) error {
		for _, other := range c.Nodes[1:] {
			if err := client.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", other.ports[0].number, other.ports[1].number).Err(); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for i, node := range c.Nodes[redisMasters:] {
		if err := node.ask(func(client *redis.Client) error {
			// It may not have heard of its master yet.
			return poll(ctx, func() error { return client.ClusterReplicate(ctx, masters[i%redisMasters]).Err() })
		}); err != nil {
			return err
		}
	}
	return nil
}

// AwaitServing waits until the cluster serves as a whole: every node that runs
// says so, all agree who has which slots, only running nodes have some, and
// every other running node is a replica that is up to date. Use it after a
// restart, or after the kill of a master with a replica. It waits at most 90 s;
// no node may be paused.
func (c *RedisServers) AwaitServing() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if err := poll(ctx, func() error { return c.serves(ctx) }); err != nil {
		return fmt.Errorf("await redis cluster: %w", err)
	}
	return nil
}

func (c *RedisServers) serves(ctx context.Context) error {
	var running []string
	for _, node := range c.Nodes {
		if node.running() {
			running = append(running, node.addr)
		}
	}
	var agreed map[int]string
	for _, node := range c.Nodes {
		if !slices.Contains(running, node.addr) {
			continue
		}
		var owners map[int]string
		err := node.ask(func(client *redis.Client) (err error) {
			owners, err = view(ctx, client, running)
			return err
		})
		if err != nil {
			return err
		}
		if agreed == nil {
			agreed = owners
		}
		if !maps.Equal(owners, agreed) {
			return fmt.Errorf("%s: it sees %v, others see %v", node.name, owners, agreed)
		}
	}
	if agreed == nil {
		return errors.New("no node runs")
	}
	return nil
}

// view is a node's view of the cluster, if that is whole: who has the slots from
// which on.
func view(ctx context.Context, client *redis.Client, running []string) (map[int]string, error) {
	info, err := client.ClusterInfo(ctx).Result()
	if err != nil {
		return nil, err
	}
	if !strings.Contains(info, "cluster_state:ok") {
		return nil, errors.New("it says that the cluster does not serve")
	}
	replication, err := client.Info(ctx, "replication").Result()
	if err != nil {
		return nil, err
	}
	if strings.Contains(replication, "role:slave") && !strings.Contains(replication, "master_link_status:up") {
		return nil, errors.New("it has not caught up with its master")
	}
	// CLUSTER SHARDS, which is to take its place, would list failed nodes too.
	ranges, err := client.ClusterSlots(ctx).Result() //nolint:staticcheck // as said above
	if err != nil {
		return nil, err
	}
	owners, placed := map[int]string{}, map[string]bool{}
	for _, r := range ranges {
		if len(r.Nodes) == 0 || !slices.Contains(running, r.Nodes[0].Addr) {
			return nil, fmt.Errorf("nobody who runs has the slots from %d on", r.Start)
		}
		owners[r.Start] = r.Nodes[0].Addr
		for _, n := range r.Nodes {
			placed[n.Addr] = true
		}
	}
	for _, addr := range running {
		if !placed[addr] {
			return nil, fmt.Errorf("it does not count on %s", addr)
		}
	}
	return owners, nil
}

// ask calls do with a client of this node alone.
func (r *RedisServer) ask(do func(*redis.Client) error) error {
	client := redis.NewClient(&redis.Options{Addr: r.addr, MaxRetries: -1, PoolSize: 1})
	defer client.Close()
	if err := do(client); err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	return nil
}
