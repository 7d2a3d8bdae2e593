package coord_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/internal/testenv"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func leaseOf(n *node, id string) clientv3.LeaseID {
	n.t.Helper()
	kv := n.read(n.etcd, id)
	if kv == nil {
		n.t.Fatalf("session %s is not registered", id)
	}
	return clientv3.LeaseID(kv.Lease)
}

// A member that leaves deletes its key only if the key is still its own. Pitfall 36 of docs/pitfalls.md.
func TestLeavingMemberDeletesOnlyItsOwnKey(t *testing.T) {
	t.Parallel()
	n := join(t, unique(t), etcd(t), nil)
	l, other := n.registered(), connect(t, etcd(t)...)
	_, err := other.Put(limit(t), n.key(l.ID()), "another's")
	must(t, err)
	n.stop()
	if kv := n.read(other, l.ID()); kv == nil || string(kv.Value) != "another's" {
		t.Errorf("the key that is another's by now is %v", kv)
	}
}

// A member that left is noticed even if the event was compacted before the watch delivered it. Pitfall 38 of
// docs/pitfalls.md.
func TestLeavingMemberIsNoticedAcrossCompaction(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.StartEtcd(t), unique(t)
	network := newLink(t, server.Endpoint())
	n := join(t, prefix, []string{network.addr()}, func(cfg *coord.Config) { cfg.TTL = time.Minute })
	l := n.registered()
	leaver := join(t, prefix, server.Endpoints(), func(cfg *coord.Config) { cfg.TTL = time.Minute })
	left := leaver.registered()
	joined := func(n *node) bool {
		members, err := coord.Members(limit(t), n.etcd, prefix)
		must(t, err)
		return len(members) == 2
	}
	within(t, slack, "both are there", func() bool { return joined(n) })
	sees(t, n, server)

	network.cut()
	leaver.stop()
	direct := connect(t, server.Endpoint())
	put, err := direct.Put(limit(t), "/more", "")
	must(t, err)
	_, err = direct.Compact(limit(t), put.Header.Revision, clientv3.WithCompactPhysical())
	must(t, err)
	network.heal()

	n.hears(left.ID(), 2*slack)
	if !l.Trusted() {
		t.Error("the session was lost with it")
	}
	sees(t, n, server) // it watches again
}

// sees checks that a node's watch works: a session that comes and goes is told of.
func sees(t *testing.T, n *node, server *testenv.EtcdServer) {
	t.Helper()
	direct := connect(t, server.Endpoint())
	within(t, 2*slack, "the watch works", func() bool {
		id := fmt.Sprintf("s%d", time.Now().UnixNano())
		_, err := direct.Put(limit(t), n.key(id), "{}")
		must(t, err)
		_, err = direct.Delete(limit(t), n.key(id))
		must(t, err)
		timer := time.NewTimer(time.Second)
		defer timer.Stop()
		for {
			select {
			case got := <-n.gone:
				if got == id {
					return true
				}
			case <-timer.C:
				return false
			}
		}
	})
}

// Idle nodes write nothing to etcd but keepalives: counters that each node writes every second would fill its quota in
// hours. Pitfall 39 of docs/pitfalls.md.
func TestIdleNodesWriteNothing(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.StartEtcd(t), unique(t)
	direct := connect(t, server.Endpoint())
	var nodes []*node
	for range 3 {
		n := join(t, prefix, server.Endpoints(), func(cfg *coord.Config) { cfg.TTL = 10 * time.Second }) // a session that is lost on a busy machine is written anew
		n.registered()
		nodes = append(nodes, n)
	}
	revision := func() int64 {
		reply, err := direct.Get(limit(t), "/")
		must(t, err)
		return reply.Header.Revision
	}
	before := revision()
	stays(t, lasting, "all are trusted", func() bool {
		for _, n := range nodes {
			if !n.registered().Trusted() {
				return false
			}
		}
		return true
	})
	if after := revision(); after != before {
		t.Errorf("%d writes while nothing happened", after-before)
	}
}
