package nemesis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/test/nemesis"
)

var none nemesis.Span

// TestFaultsOfRedis shows what of a Redis is gone while each lasts, and what is there again after it.
func TestFaultsOfRedis(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	v := &nemesis.Victim{Name: "redis", Class: nemesis.Redis, Process: server}
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { must(t, client.Close()) })
	for _, tt := range []struct {
		fault  nemesis.Fault
		kept   bool
		excuse nemesis.Excuse
	}{
		{nemesis.Killed(v, none), true, 0},
		{nemesis.Stopped(v, none), true, 0},
		{nemesis.Paused(v, none), true, 0},
		{nemesis.Emptied(v, server, none), false, nemesis.Forgotten},
	} {
		must(t, client.Set(t.Context(), "key", "v", 0).Err())
		during(t, tt.fault, func(whom string) {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if err := client.Get(ctx, "key").Err(); err == nil || errors.Is(err, redis.Nil) {
				t.Errorf("%s, and it answers (%v)", tt.fault, err)
			}
			if whom != "redis" {
				t.Errorf("%s hit %q", tt.fault, whom)
			}
		})
		eventually(t, func(ctx context.Context) error { return client.Ping(ctx).Err() })
		n, err := client.Exists(t.Context(), "key").Result()
		must(t, err)
		if kept := n == 1; kept != tt.kept {
			t.Errorf("%s, and the key is kept: %t", tt.fault, kept)
		}
		if tt.fault.Excuse != tt.excuse {
			t.Errorf("%s excuses %s", tt.fault, tt.fault.Excuse)
		}
	}
}

func TestRedisFailsOver(t *testing.T) {
	needsCluster(t)
	cluster := testenv.StartRedisCluster(t, 1)
	first := &nemesis.Victim{Name: "redis-1", Class: nemesis.Redis, Process: cluster.Nodes[0]}
	for _, pause := range []bool{false, true} {
		during(t, nemesis.FailedOver(first, cluster, pause, none), func(string) {
			if pause {
				return // it is a replica by now
			}
			must(t, cluster.AwaitServing()) // which it does only when the replica has taken over
			if role := role(t, cluster.Nodes[3]); role != "master" {
				t.Errorf("the replica of a dead master is a %s", role)
			}
		})
		if role := role(t, cluster.Nodes[0]); role != "slave" {
			t.Errorf("the master that came back is a %s", role)
		}
	}
}

func role(t *testing.T, node *testenv.RedisServer) string {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: node.Addr()})
	defer client.Close()
	role, err := client.Do(t.Context(), "ROLE").Slice()
	must(t, err)
	return fmt.Sprint(role[0])
}

func TestEtcdLosesItsLeader(t *testing.T) {
	needsCluster(t)
	cluster := testenv.StartEtcdCluster(t, 3)
	var victims []*nemesis.Victim
	for i, m := range cluster.Members {
		victims = append(victims, &nemesis.Victim{Name: fmt.Sprintf("etcd-%d", i+1), Class: nemesis.Etcd, Process: m})
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: cluster.Endpoints(), Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(func() { must(t, client.Close()) })
	put := func(ctx context.Context) error {
		_, err := client.Put(ctx, "key", "v")
		return err
	}
	eventually(t, put)
	f := nemesis.RoleKilled("etcd leader", nemesis.Etcd, nemesis.EtcdLeader(cluster, victims), none)
	during(t, f, func(whom string) {
		after, err := cluster.Leader()
		must(t, err)
		if !strings.HasPrefix(whom, "etcd-") || cluster.Members[whom[5]-'1'] == after {
			t.Errorf("%s was killed, and leads", whom)
		}
		eventually(t, put)
	})
	if f.Excuse != nemesis.SessionLost {
		t.Errorf("%s excuses %s", f, f.Excuse)
	}
}

// twoBrokersOfThree kills two at once: what needs two replicas in sync waits, and goes on after.
func twoBrokersOfThree(t *testing.T, cluster *testenv.KafkaCluster) {
	var faults []nemesis.Fault
	for i, b := range cluster.Brokers[:2] {
		v := &nemesis.Victim{Name: fmt.Sprintf("kafka-%d", i+1), Class: nemesis.Kafka, Process: b}
		faults = append(faults, nemesis.Killed(v, none))
	}
	ask := ends(t, cluster.Addrs())
	eventually(t, ask)
	during(t, nemesis.Together("two killed", "kafka-1, kafka-2", none, faults...), func(string) {
		if reaches(t, ask) {
			t.Error("one broker of three has leaders for all partitions")
		}
	})
	eventually(t, ask)
}

// TestTogetherMendsWhatItDid gives one of two nobody to hit.
func TestTogetherMendsWhatItDid(t *testing.T) {
	one, a := newVictim("node-1")
	nobody := func(context.Context) (*nemesis.Victim, error) { return nil, nemesis.ErrBusy }
	f := nemesis.Together("both", "two", none, nemesis.Killed(one, none), nemesis.RoleKilled("leader", nemesis.Node, nobody, none))
	if _, err := f.Hit(t.Context()); !errors.Is(err, nemesis.ErrBusy) {
		t.Errorf("it says %v", err)
	}
	if !a.unharmed || len(a.done) != 2 {
		t.Errorf("the first suffered %q, and nobody mended it", a.done)
	}
}
