package testenv_test

import (
	"slices"
	"testing"

	"github.com/tasktier/tasktier/internal/testenv"
)

func TestEtcdClusterSurvivesItsLeader(t *testing.T) {
	t.Parallel()
	cluster := testenv.StartEtcdCluster(t, 3)
	client, ctx := etcdClient(t, cluster.Endpoints()), limit(t)
	_, err := client.Put(ctx, "key", "before")
	must(t, err)
	first, err := cluster.Leader()
	must(t, err)

	must(t, first.Kill())
	second, err := cluster.Leader()
	must(t, err)
	if second == first {
		t.Error("the killed member leads")
	}
	got, err := client.Get(ctx, "key")
	must(t, err)
	if len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "before" {
		t.Errorf("without its leader the cluster has %v", got.Kvs)
	}
	_, err = client.Put(ctx, "key", "after")
	must(t, err)

	must(t, first.Start())
	again := etcdClient(t, first.Endpoints())
	if got, err = again.Get(ctx, "key"); err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "after" {
		t.Errorf("the member that returned has %v (%v)", got, err)
	}
	if _, err = cluster.Leader(); err != nil {
		t.Error(err)
	}
}

func TestEtcdClusterOutlastsAPause(t *testing.T) {
	if testing.Short() {
		t.Skip("an election takes seconds: ./check long runs it")
	}
	t.Parallel()
	cluster := testenv.StartEtcdCluster(t, 3)
	leader, err := cluster.Leader()
	must(t, err)
	others := slices.DeleteFunc(cluster.Endpoints(), func(endpoint string) bool { return endpoint == leader.Endpoint() })
	must(t, leader.Pause())
	client, ctx := etcdClient(t, others), limit(t)
	for { // what was on its way to the old leader is answered with an error
		if _, err = client.Put(ctx, "key", "v"); err == nil {
			break
		}
		must(t, ctx.Err())
	}
	must(t, leader.Resume())
	_, err = cluster.Leader()
	must(t, err)
}
