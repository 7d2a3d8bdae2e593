package claim

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/internal/testenv"
)

// All keys of one script call are in one slot of a Redis Cluster, which refuses other calls. Pitfall 41 of
// docs/pitfalls.md.
func TestScriptsUseKeysOfOneSlot(t *testing.T) {
	s := NewStore(cluster(t, testenv.RedisCluster(t)), testenv.Unique(t))
	node := start(t, s, &registry{}, me)
	holds := make([]*Hold, 400)
	used := map[int]bool{}
	for i := range holds {
		holds[i] = hold(fmt.Sprint(i), 0, 1, 1)
		used[holds[i].identity().Key().bucket()] = true
	}
	if len(used) != buckets {
		t.Fatalf("%d buckets are used, want all %d", len(used), buckets)
	}
	// In one batch each, with counters of two types, and with details.
	node.Begin(holds...)
	for _, h := range holds {
		if v := node.verdict(h); v != Run {
			t.Fatalf("%s: %s, want run", h.Task.ID, v)
		}
	}
	before := s.Calls()
	answers := make(chan Result, len(holds))
	for i, h := range holds {
		o := Outcome{State: Succeeded}
		if i%2 == 0 {
			o = Outcome{State: Retrying, Due: time.Now(), Details: &Details{Error: h.Task.ID}}
		}
		node.Finish(h, o, func(r Result) { answers <- r })
	}
	for range holds {
		mustWrite(t, await(t, answers))
	}
	if calls := s.Calls() - before; calls > uint64(len(holds))/2 {
		t.Errorf("%d calls for %d tasks", calls, len(holds))
	}
	for i, h := range holds {
		_, c := stored(t, s, h)
		d, err := s.Details(t.Context(), h.identity())
		if err != nil {
			t.Fatal(err)
		}
		if retried := i%2 == 0; (c.State == Retrying) != retried || (d != nil && d.Error == h.Task.ID) != retried {
			t.Errorf("%s: %q, %+v", h.Task.ID, c, d)
		}
	}
	counted(t, s, map[string]int64{"succeeded": 200, "retrying": 200})
	// The keys are where they are said to be.
	for _, h := range holds[:50] {
		tag := fmt.Sprintf("{%x}", h.identity().Key().bucket())
		if name := h.identity().Key().text(s.prefix); !strings.HasPrefix(name, s.prefix+":"+tag+":") {
			t.Errorf("key %q lacks the tag %s", name, tag)
		}
	}
}

// forgetScripts does what a restart does, or a fail-over.
func forgetScripts(t *testing.T, s *Store) {
	t.Helper()
	var err error
	if c, ok := s.client.(*redis.ClusterClient); ok {
		err = c.ScriptFlush(t.Context()).Err()
	} else {
		err = s.client.ScriptFlush(t.Context()).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestScriptsAreGivenAgain(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		node := start(t, s, &registry{}, me)
		for round := range 3 {
			forgetScripts(t, s)
			holds := make([]*Hold, 50)
			for i := range holds {
				holds[i] = hold(fmt.Sprint(round, i), 0, 1, 1)
			}
			node.Begin(holds...)
			for _, h := range holds {
				if v := node.verdict(h); v != Run {
					t.Fatalf("%s, want run", v)
				}
			}
			forgetScripts(t, s)
			for _, h := range holds {
				mustWrite(t, node.finish(h, Outcome{State: Succeeded}))
			}
		}
		if node.Away() {
			t.Error("it counts as away")
		}
		counted(t, s, map[string]int64{"succeeded": 150})
	})
}

// A master is killed and its replica takes its place, while tasks go on. Nothing hangs, and what was answered is there;
// unless the replica had not heard of it yet, which shows as a claim that is missing or went back.
func TestFailOver(t *testing.T) {
	t.Parallel()
	servers := testenv.StartRedisCluster(t, 1)
	client := cluster(t, servers.Addrs())
	s := NewStore(client, testenv.Unique(t))
	node := start(t, s, &registry{}, me)
	var next, finished, lost atomic.Int64
	var stop atomic.Bool
	var streams sync.WaitGroup
	var mu sync.Mutex
	var all []*Hold
	for range 20 {
		streams.Go(func() {
			for !stop.Load() {
				h := hold(fmt.Sprint(next.Add(1)), 0, 1, 1)
				node.Begin(h)
				for v := range h.Of.(chan Verdict) {
					if v == Run {
						break
					}
					t.Errorf("%s: %s, want run", h.Task.ID, v) // of a turn that nobody else has
					return
				}
				answer := make(chan Result, 1)
				node.Finish(h, Outcome{State: Succeeded}, func(r Result) { answer <- r })
				if <-answer == Lost {
					lost.Add(1)
				}
				finished.Add(1)
				mu.Lock()
				all = append(all, h)
				mu.Unlock()
			}
		})
	}
	goesOn := func(what string) {
		t.Helper()
		from := finished.Load()
		eventually(t, what, func() bool { return finished.Load() > from+300 })
	}
	goesOn("tasks end")
	if err := servers.Nodes[0].Kill(); err != nil {
		t.Fatal(err)
	}
	if err := servers.AwaitServing(); err != nil {
		t.Fatal(err)
	}
	goesOn("tasks end after the fail-over")
	stop.Store(true)
	streams.Wait()

	if lost.Load() > 0 {
		t.Errorf("%d results were lost", lost.Load())
	}
	missing := 0
	for _, h := range all {
		if _, c := stored(t, s, h); c.State != Succeeded {
			missing++
		}
	}
	t.Logf("%d tasks, %d of which the replica had not heard", len(all), missing)
	if missing > len(all)/10 {
		t.Errorf("%d of %d results are missing", missing, len(all))
	}
}
