package pipeline

import (
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
)

// TestEtcdIsAway: nodes whose sessions are over because etcd is away interrupt what they run, and go on. Nothing is taken
// from a node that dies meanwhile, until etcd is back and says that it is gone.
func TestEtcdIsAway(t *testing.T) {
	onlyInFull(t)
	t.Parallel()
	const n = 3000
	f := claimed(t)
	etcd := testenv.StartEtcd(t)
	f.etcd = etcd.Endpoints()
	f.concurrency, f.ttl = 20, 2*time.Second
	nodes := f.ready(2)
	f.load(n, 60, 180)
	f.await(n / 10)
	must(t, etcd.Kill())
	away := time.Now()
	over := away.Add(2*f.ttl + time.Second) // after a TTL the sessions are over, after another the nodes go on without
	f.until("the sessions are over", func() bool { return time.Now().After(over) })
	before := f.ended()
	f.until("the nodes go on without etcd", func() bool { return f.ended() > before+n/20 })
	killed := nodes[0].kill()
	f.until("the other node asks whether its owner lives", func() bool { return strings.Contains(nodes[1].said(), "the registry can't be asked") })
	f.join(nodes[1]) // what it concluded from that, it has begun
	back := time.Now()
	must(t, etcd.Start())
	f.await(n)
	nodes[1].stop()
	f.all(n)
	f.succeeded(n)
	interrupted, died := 0, 0
	for id, runs := range f.repeats() {
		for i, r := range runs[:len(runs)-1] {
			switch next := runs[i+1]; {
			case r.how == gaveUp && r.until.Before(next.at): // its next run waits behind what its node had fetched
				interrupted++
			case r.pid == nodes[0].pid() && next.at.After(back):
				died++
			default:
				t.Errorf("%s ran again: it was not interrupted, nor taken over from the node that was killed at %s when etcd was back at %s: %s", id, killed.Format(clock), back.Format(clock), story(runs))
			}
		}
	}
	t.Logf("%d runs were interrupted, %d tasks were started while etcd was away; %d were in flight on the killed node",
		interrupted, f.startedBetween(away, back), died)
	if interrupted == 0 || interrupted > 2*f.concurrency {
		t.Errorf("%d runs were interrupted, of two nodes that run %d at once", interrupted, f.concurrency)
	}
	if died == 0 || died > 2*f.concurrency {
		t.Errorf("%d tasks were in flight on a node that runs %d at once", died, f.concurrency)
	}
}
