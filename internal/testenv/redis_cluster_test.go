package testenv_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tasktier/tasktier/internal/testenv"
)

func TestSharedRedisClusterIsACluster(t *testing.T) {
	t.Parallel()
	client, ctx := clusterClient(t, testenv.RedisCluster(t)...), limit(t)
	name := testenv.Unique(t)
	for i := range 100 {
		must(t, client.Set(ctx, fmt.Sprintf("%s-%d", name, i), i, 0).Err())
	}
	// Keys lie on all three, and a script over two of them is refused.
	node := redisClient(t, testenv.RedisCluster(t)[0])
	found, err := node.Keys(ctx, name+"-*").Result()
	must(t, err)
	if len(found) == 0 || len(found) == 100 {
		t.Errorf("the first of three masters holds %d of 100 keys", len(found))
	}
	err = client.Eval(ctx, "return redis.call('mget', KEYS[1], KEYS[2])", []string{name + "-{a}", name + "-{b}"}).Err()
	if err == nil {
		t.Error("a script over keys of two slots ran")
	}
}

func TestRedisClusterStopsServingWithoutAMaster(t *testing.T) {
	if testing.Short() {
		t.Skip("the others miss it after seconds: ./check long runs it")
	}
	t.Parallel()
	cluster := testenv.StartRedisCluster(t, 0)
	ctx := limit(t)
	const key = "{b}" // whose slot, 3300, is the first master's
	node := redisClient(t, cluster.Addrs()[0])
	must(t, node.Set(ctx, key, "kept", 0).Err())

	must(t, cluster.Nodes[2].Kill())
	for {
		err := node.Get(ctx, key).Err()
		if err != nil && strings.HasPrefix(err.Error(), "CLUSTERDOWN") {
			break
		}
		must(t, err)
		time.Sleep(10 * time.Millisecond) // between polls
	}
	must(t, cluster.Nodes[2].Restart())
	must(t, cluster.AwaitServing())
	if got, err := clusterClient(t, cluster.Addrs()...).Get(ctx, key).Result(); err != nil || got != "kept" {
		t.Errorf("after the restart of a master the key holds %q (%v)", got, err)
	}
}

func TestRedisClusterFailsOver(t *testing.T) {
	t.Parallel()
	cluster := testenv.StartRedisCluster(t, 1)
	master, replica := cluster.Nodes[2], cluster.Nodes[5]
	client, ctx := redisClient(t, master.Addr()), limit(t)
	const key = "{a}" // whose slot, 15495, is the third master's
	must(t, client.Set(ctx, key, "replicated", 0).Err())
	// Redis answers first and replicates then.
	if n, err := client.Wait(ctx, 1, 10*time.Second).Result(); err != nil || n != 1 {
		t.Fatalf("%d replicas have the write (%v)", n, err)
	}

	must(t, master.Kill())
	must(t, cluster.AwaitServing())
	if role := roleOf(t, replica); role != "master" {
		t.Fatalf("after the death of its master the replica is a %s", role)
	}
	// A new client: one that knew the old master goes on dialing it for a while.
	if got, err := clusterClient(t, cluster.Nodes[1].Addr()).Get(ctx, key).Result(); err != nil || got != "replicated" {
		t.Errorf("after the fail-over the key holds %q (%v)", got, err)
	}

	must(t, master.Restart())
	must(t, cluster.AwaitServing())
	if role := roleOf(t, master); role != "slave" {
		t.Errorf("the master that came back is a %s", role)
	}
}

func roleOf(t *testing.T, node *testenv.RedisServer) string {
	t.Helper()
	role, err := redisClient(t, node.Addr()).Do(limit(t), "ROLE").Slice()
	must(t, err)
	return role[0].(string)
}

func clusterClient(t *testing.T, addrs ...string) *redis.ClusterClient {
	t.Helper()
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	t.Cleanup(func() { must(t, client.Close()) })
	return client
}
