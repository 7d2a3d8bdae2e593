package limit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord/limit"
	"github.com/tasktier/tasktier/internal/testenv"
)

// Nodes with limits and no tasks of limited types cost etcd keepalives, and nodes that just had some cost it no more than
// giving back what they had.
func TestAnIdleClusterWritesNothing(t *testing.T) {
	t.Parallel()
	const ttl = 5 * time.Second
	size, watched := 50, 2*ttl
	if testing.Short() {
		size, watched = 15, ttl/2
	}
	server, prefix := testenv.StartEtcd(t), unique(t)
	client := reader(t, server.Endpoints())
	var nodes []*node
	for i := range size {
		n := join(t, prefix, server.Endpoints(), 1, func(s *setting) { s.ttl = ttl; s.Node = fmt.Sprint(i) })
		n.Set(map[string]limit.Limit{typ: {N: 1}, "other": {N: 3}})
		nodes = append(nodes, n)
	}
	for _, n := range nodes[:3] {
		n.Want(typ, 1)
		slot := n.takes()
		n.Want(typ, 0)
		n.Release(slot)
	}
	within(t, "all has been given back", func() bool { return len(usage(t, client, prefix).Holders) == 0 })
	before := revision(t, client)
	stays(t, watched, "no session is lost", func() bool {
		for _, n := range nodes {
			if l := n.members.Lease(); l == nil || !l.Trusted() {
				return false
			}
		}
		return true
	})
	if after := revision(t, client); after != before {
		t.Errorf("%d writes while nothing happened", after-before)
	}
}
