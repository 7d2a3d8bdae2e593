package control_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord/control"
	"github.com/tasktier/tasktier/internal/testenv"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap/zaptest"
)

// paused is a state in which these queues are, and no others.
func paused(queues ...string) func(control.State) bool {
	return func(s control.State) bool {
		for _, q := range queues {
			if !s.Queues[q].Paused {
				return false
			}
		}
		return len(s.Queues) == len(queues)
	}
}

// It is not parallel, as it measures.
func TestTwentyNodesHearWithinASecond(t *testing.T) {
	const nodes, times = 20, 20
	prefix := unique(t)
	heard := make([]<-chan control.State, nodes)
	for i := range heard {
		heard[i] = follow(t, connect(t, testenv.Etcd(t)...), prefix, nil)
		hears(t, heard[i], "what is there", paused())
	}
	o := operator(t, connect(t, testenv.Etcd(t)...), prefix)
	var took []time.Duration
	for i := range times {
		begun := time.Now()
		verb, want := o.PauseQueue, paused("tasks")
		if i%2 == 1 {
			verb, want = o.ResumeQueue, paused()
		}
		changed, err := verb(limit(t), "tasks")
		says(t, changed, err)(true)
		var all sync.WaitGroup
		for _, told := range heard {
			all.Go(func() { hears(t, told, "what was said", want) })
		}
		all.Wait()
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	t.Logf("from the word to the last of %d nodes: median %s, longest %s", nodes, took[times/2], took[times-1])
	if took[times/2] > 5*time.Second {
		t.Errorf("it took %s", took[times/2])
	}
}

func TestWhatOneTransactionChangesIsToldTogether(t *testing.T) {
	t.Parallel()
	client, prefix := connect(t, testenv.Etcd(t)...), unique(t)
	told := follow(t, client, prefix, nil)
	hears(t, told, "what is there", paused())
	const yes = `{"v":1,"paused":true}`
	for range 20 {
		_, err := client.Txn(limit(t)).Then(clientv3.OpPut(prefix+"/control/queues/a", yes), clientv3.OpPut(prefix+"/control/queues/b", yes)).Commit()
		must(t, err)
		if s := <-told; !paused("a", "b")(s) {
			t.Fatalf("it tells of %v", s.Queues)
		}
		_, err = client.Delete(limit(t), prefix+"/control/", clientv3.WithPrefix())
		must(t, err)
		if s := <-told; !paused()(s) {
			t.Fatalf("it tells of %v", s.Queues)
		}
	}
}

// Each state is its receiver's, who may change it.
func TestStatesAreFresh(t *testing.T) {
	t.Parallel()
	client, prefix := connect(t, testenv.Etcd(t)...), unique(t)
	o, told := operator(t, client, prefix), follow(t, client, prefix, nil)
	for _, q := range []string{"a", "b"} {
		changed, err := o.PauseQueue(limit(t), q)
		says(t, changed, err)(true)
		s := hears(t, told, q+" is paused", func(s control.State) bool { return s.Queues[q].Paused })
		delete(s.Queues, "a")
	}
	changed, err := o.PauseQueue(limit(t), "c")
	says(t, changed, err)(true)
	hears(t, told, "all three", paused("a", "b", "c"))
}

// A watch that etcd closes because its revision was compacted reads the overrides again and misses none. Pitfall 38 of
// docs/pitfalls.md.
func TestOverridesAreReadAgainAfterCompaction(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	client, prefix := connect(t, server.Endpoint()), unique(t)
	o := operator(t, client, prefix)
	_, err := o.PauseQueue(limit(t), "before")
	must(t, err)
	// It begins to watch at a revision that is gone by then.
	told := follow(t, client, prefix, func(*control.Watcher) {
		_, err := o.PauseQueue(limit(t), "meanwhile")
		must(t, err)
		_, err = o.ResumeQueue(limit(t), "before")
		must(t, err)
		put, err := client.Put(limit(t), "/more", "")
		must(t, err)
		_, err = client.Compact(limit(t), put.Header.Revision, clientv3.WithCompactPhysical())
		must(t, err)
	})
	hears(t, told, "what was read first", paused("before"))
	hears(t, told, "what was compacted", paused("meanwhile"))
	_, err = o.PauseQueue(limit(t), "after")
	must(t, err)
	hears(t, told, "what comes then", paused("meanwhile", "after"))
}

func TestEtcdAwayAndBack(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	client, prefix := connect(t, server.Endpoint()), unique(t)
	o := operator(t, client, prefix)
	_, err := o.PauseQueue(limit(t), "before")
	must(t, err)
	for name, anew := range map[string]time.Duration{"while its watch hangs": time.Minute, "while it reads anew": 100 * time.Millisecond} {
		told := follow(t, client, prefix, func(w *control.Watcher) { w.Anew(anew) })
		hears(t, told, name+": what is there", paused("before"))
		must(t, server.Kill())
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		if _, err := control.Open(short, client, prefix, zaptest.NewLogger(t)); err == nil {
			t.Error("it opens, though etcd is away")
		}
		if _, err := control.Read(short, client, prefix); err == nil {
			t.Error("it reads, though etcd is away")
		}
		if _, err := o.PauseQueue(short, "lost"); err == nil {
			t.Error("an operator speaks, though etcd is away")
		}
		cancel()
		must(t, server.Start())
		// Until then nothing was told: what was said last went on holding.
		changed, err := o.PauseQueue(limit(t), "after")
		says(t, changed, err)(true)
		if s := hears(t, told, name+": anything", func(control.State) bool { return true }); !paused("before", "after")(s) {
			t.Errorf("%s: it tells of %v", name, s.Queues)
		}
		_, err = o.ResumeQueue(limit(t), "after")
		must(t, err)
	}
}

// A watch from a revision that etcd has lost waits for it to come again, and in silence: the keys are read all the same.
func TestEtcdThatLostItsDataIsBelieved(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	client, prefix := connect(t, server.Endpoint()), unique(t)
	o := operator(t, client, prefix)
	for _, q := range []string{"a", "b", "c"} {
		_, err := o.PauseQueue(limit(t), q)
		must(t, err)
	}
	told := follow(t, client, prefix, func(w *control.Watcher) { w.Anew(500 * time.Millisecond) })
	hears(t, told, "what is there", paused("a", "b", "c"))
	must(t, server.Kill())
	must(t, os.RemoveAll(server.DataDir()))
	must(t, server.Start())
	hears(t, told, "that nothing is said", paused())
	_, err := o.PauseQueue(limit(t), "d")
	must(t, err)
	hears(t, told, "what is said then", paused("d"))
}

// Reading anew tells nothing where nothing has changed.
func TestOnlyChangesAreTold(t *testing.T) {
	t.Parallel()
	client, prefix := connect(t, testenv.Etcd(t)...), unique(t)
	o, n := operator(t, client, prefix), 0
	told := follow(t, client, prefix, func(w *control.Watcher) { w.Anew(5 * time.Millisecond) })
	count := func(is func(control.State) bool) func(control.State) bool {
		return func(s control.State) bool { n++; return is(s) }
	}
	hears(t, told, "what is there", count(paused()))
	const changes = 50
	for i := range changes {
		verb, want := o.PauseQueue, paused("tasks")
		if i%2 == 1 {
			verb, want = o.ResumeQueue, paused()
		}
		_, err := verb(limit(t), "tasks")
		must(t, err)
		hears(t, told, "what was said", count(want))
	}
	if n != changes+1 || len(told) > 0 {
		t.Errorf("told %d states of %d changes, and %d more", n, changes, len(told))
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w, err := control.Open(limit(t), connect(t, testenv.Etcd(t)...), unique(t), zaptest.NewLogger(t))
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	if err := w.Run(ctx, func(control.State) { n++ }); err != nil || n != 1 {
		t.Errorf("it ends with %v and has told %d states", err, n)
	}
}

// It can't be opened where the connection is refused, and does not hang longer than it may.
func TestOpenNeedsEtcd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := control.Open(ctx, connect(t, "127.0.0.1:1"), "", zaptest.NewLogger(t))
	if err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("it opens with %v", err)
	}
}
