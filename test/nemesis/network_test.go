package nemesis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/test/nemesis"
)

// moment is for what has to fail, and is long enough for what has to work.
const moment = 5 * time.Second

// reaches asks once, and a moment at most.
func reaches(t *testing.T, ask func(ctx context.Context) error) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), moment)
	defer cancel()
	return ask(ctx) == nil
}

// eventually asks until there is an answer.
func eventually(t *testing.T, ask func(ctx context.Context) error) {
	t.Helper()
	for from := time.Now(); !reaches(t, ask); {
		if time.Since(from) > time.Minute {
			t.Fatal("no answer after a minute")
		}
	}
}

// during runs check while the fault lasts.
func during(t *testing.T, f nemesis.Fault, check func(whom string)) {
	t.Helper()
	wound, err := f.Hit(t.Context())
	must(t, err)
	check(wound.Whom)
	must(t, wound.Mend(t.Context()))
}

// TestFaultsOfKafka has one cluster for those of its brokers and of the ways to them.
func TestFaultsOfKafka(t *testing.T) {
	needsCluster(t)
	one, first := nemesis.KafkaRoute("one")
	two, second := nemesis.KafkaRoute("two")
	t.Cleanup(func() { must(t, one.Close()); must(t, two.Close()) })
	cluster := testenv.StartKafkaCluster(t, 3, first, second)
	must(t, create(t, cluster.Addrs(), "routes"))
	t.Run("routes are apart", func(t *testing.T) { routesAreApart(t, one, two) })
	t.Run("two brokers of three", func(t *testing.T) { twoBrokersOfThree(t, cluster) })
}

// needsCluster lets a test of several servers run beside others, but for -short.
func needsCluster(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts several servers and waits for them to fail over: ./check long runs it")
	}
	t.Parallel()
}

// routesAreApart puts two clients on routes of their own to a cluster, and cuts one off.
func routesAreApart(t *testing.T, one, two *nemesis.Route) {
	oneWay, twoWays := ends(t, one.Addrs()), ends(t, two.Addrs())
	eventually(t, oneWay)
	eventually(t, twoWays)
	during(t, one.Cut(nemesis.Span{}), func(string) {
		if reaches(t, oneWay) {
			t.Error("a client that is cut off had an answer: it knows another way")
		}
		if !reaches(t, twoWays) {
			t.Error("a client was cut off by the route of another")
		}
	})
	eventually(t, oneWay)
}

func create(t *testing.T, addrs []string, topic string) error {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	must(t, err)
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), 6, -1, nil, topic)
	return err
}

// ends returns a client's question to each partition's leader.
func ends(t *testing.T, addrs []string) func(context.Context) error {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	must(t, err)
	t.Cleanup(cl.Close)
	return func(ctx context.Context) error {
		ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, "routes")
		return errors.Join(err, ends.Error())
	}
}

func TestRouteToRedis(t *testing.T) {
	t.Parallel()
	route, err := nemesis.NewRoute("node to redis", nemesis.Redis, testenv.Redis(t))
	must(t, err)
	t.Cleanup(func() { must(t, route.Close()) })
	client := redis.NewClient(&redis.Options{Addr: route.Addrs()[0], MaxRetries: -1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { must(t, client.Close()) })
	key := testenv.Unique(t)
	ask := func(ctx context.Context) error { return client.Incr(ctx, key).Err() }
	eventually(t, ask)
	for _, f := range []nemesis.Fault{route.Cut(nemesis.Span{}), route.Hang(nemesis.Span{})} {
		during(t, f, func(string) {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if ask(ctx) == nil {
				t.Errorf("%s, and there was an answer", f)
			}
		})
		eventually(t, ask)
	}

	// Of lost replies the server knows more than the client.
	direct := redis.NewClient(&redis.Options{Addr: testenv.Redis(t)})
	t.Cleanup(func() { must(t, direct.Close()) })
	before, err := direct.Get(t.Context(), key).Int()
	must(t, err)
	during(t, route.LoseReplies(nemesis.Span{}), func(string) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		// On a connection that is there: it has its greeting behind it.
		if ask(ctx) == nil {
			t.Error("replies are lost, and one came")
		}
	})
	if after, err := direct.Get(t.Context(), key).Int(); err != nil || after != before+1 {
		t.Errorf("after a lost reply the key holds %d (%v), want %d", after, err, before+1)
	}
}

// TestRouteToEtcd shows that a client of etcd stays on the endpoints it was given.
func TestRouteToEtcd(t *testing.T) {
	needsCluster(t)
	cluster := testenv.StartEtcdCluster(t, 3)
	route, err := nemesis.NewRoute("node to etcd", nemesis.Etcd, cluster.Endpoints()...)
	must(t, err)
	t.Cleanup(func() { must(t, route.Close()) })
	client, err := clientv3.New(clientv3.Config{Endpoints: route.Addrs(), Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(func() { must(t, client.Close()) })
	ask := func(ctx context.Context) error {
		_, err := client.Put(ctx, "key", "v")
		return err
	}
	eventually(t, ask)
	during(t, route.Hang(nemesis.Span{}), func(string) {
		if reaches(t, ask) {
			t.Error("a client that is cut off wrote: it knows another way")
		}
	})
	eventually(t, ask)
}
