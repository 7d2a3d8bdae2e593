package bench

import (
	"context"
	"sync"
	"testing"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/internal/testenv"

	root "github.com/tasktier/tasktier"
)

// openTasktierClaims is with claims in Redis and a session in etcd, as a node has them.
func openTasktierClaims(b *testing.B, _ *servers) system {
	s, _ := newTasktierClaims(b)
	return s
}

func newTasktierClaims(b *testing.B) (tasktier, *claim.Store) {
	b.Helper()
	q := openQueue(b)
	redis, err := root.RedisClient(config.Redis{Addresses: []string{testenv.Redis(b)}})
	if err != nil {
		b.Fatal(err)
	}
	etcd, err := root.EtcdClient(config.Etcd{Endpoints: testenv.Etcd(b)})
	if err != nil {
		b.Fatal(err)
	}
	members, err := coord.New(coord.Config{Client: etcd, Prefix: "/" + q.name})
	if err != nil {
		b.Fatal(err)
	}
	ctx, leave := context.WithCancel(context.Background())
	var session sync.WaitGroup
	session.Go(func() { _ = members.Run(ctx) }) // it was not run before
	b.Cleanup(func() {
		leave()
		session.Wait()
		etcd.Close()
		redis.Close()
	})
	if _, err := members.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
	store := claim.NewStore(redis, q.name)
	return newTasktier(b, q, func(c *consumer.Config) { c.Claims, c.Members = store, members }), store
}
