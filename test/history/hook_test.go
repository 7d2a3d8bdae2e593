package history

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/internal/testenv"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

// TestNodesSayThatTheirSessionIsOver: a session that somebody revokes is over in the history.
func TestNodesSayThatTheirSessionIsOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, err := Create(dir, "node-1")
	must(t, err)
	client, err := clientv3.New(clientv3.Config{Endpoints: testenv.Etcd(t), Logger: zap.NewNop()})
	must(t, err)
	defer client.Close()
	prefix := "/" + testenv.Unique(t)
	log := zaptest.NewLogger(t, zaptest.WrapOptions(zap.Hooks(w.Hook)))
	m, err := coord.New(coord.Config{Client: client, Prefix: prefix, TTL: 5 * time.Second, Log: log})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	defer func() {
		cancel()
		must(t, <-ended)
		must(t, w.Close())
	}()
	first, err := m.Wait(ctx)
	must(t, err)
	keys, err := client.Get(ctx, prefix+"/nodes/", clientv3.WithPrefix())
	must(t, err)
	if len(keys.Kvs) != 1 {
		t.Fatalf("%d sessions are registered", len(keys.Kvs))
	}
	_, err = client.Revoke(ctx, clientv3.LeaseID(keys.Kvs[0].Lease))
	must(t, err)
	<-first.Done()
	if _, err := m.Wait(ctx); err != nil { // the next one is opened after it was said
		t.Fatal(err)
	}
	n := 0
	for _, e := range read(t, dir) {
		if e.Kind == Over {
			n++
		}
	}
	if n != 1 {
		t.Error("the history has " + strconv.Itoa(n) + " ends of sessions")
	}
}
