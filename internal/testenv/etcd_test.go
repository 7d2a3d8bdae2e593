package testenv_test

import (
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/tasktier/tasktier/internal/testenv"
)

func TestSharedEtcdAnswers(t *testing.T) {
	client := etcdClient(t, testenv.Etcd(t))
	_, err := client.Put(limit(t), testenv.Unique(t), "v")
	must(t, err)
}

func TestEtcdKeepsItsKeys(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	client, ctx := etcdClient(t, server.Endpoints()), limit(t)
	for i, end := range []func() error{server.Kill, server.Stop} {
		_, err := client.Put(ctx, "key", "v")
		must(t, err)
		must(t, end())
		must(t, server.Start())
		got, err := client.Get(ctx, "key")
		must(t, err)
		if len(got.Kvs) != 1 || got.Kvs[0].Version != int64(i+1) {
			t.Errorf("after restart %d the key is %v, want version %d", i+1, got.Kvs, i+1)
		}
	}
}

func TestEtcdGrantsLeasesOfASecond(t *testing.T) {
	lease, err := etcdClient(t, testenv.Etcd(t)).Grant(limit(t), 1)
	must(t, err)
	if lease.TTL != 1 {
		t.Errorf("asked for 1 s, got a lease of %d s", lease.TTL)
	}
}

func etcdClient(t *testing.T, endpoints []string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(func() { must(t, client.Close()) })
	return client
}
