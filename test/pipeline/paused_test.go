package pipeline

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tasktier/tasktier/task"
)

// TestPausedNodeIsRefused stops a node without its knowing for so long that others take over what it runs. When it goes
// on, its handlers hear that their time is over, what those that don't listen have done counts for nothing, and the node
// works under a new session.
func TestPausedNodeIsRefused(t *testing.T) {
	onlyInFull(t)
	t.Parallel()
	const n = 40
	f := claimed(t)
	f.concurrency, f.ttl = 10, 6*time.Second // the other node must not lose its session on a busy machine
	nodes := f.ready(2)
	paused, other := nodes[0].pid(), nodes[1].pid()
	var tasks []*task.Task
	for i := range n {
		typ := work
		if i%2 == 0 {
			typ = deaf
		}
		tasks = append(tasks, typ.New(workload{2000}, task.ID(fmt.Sprint(i))))
	}
	f.send(tasks...)
	var interrupted map[string]*run // of the paused node, by task
	f.until("a node has its hands full", func() bool {
		interrupted = make(map[string]*run)
		for id, runs := range f.runs() {
			if r := runs[0]; r.pid == paused && !strings.HasPrefix(id, joining) {
				interrupted[id] = r
			}
		}
		return len(interrupted) == f.concurrency
	})
	nodes[0].signal(syscall.SIGSTOP)
	f.until("the other node has done all", func() bool {
		for id := range n {
			if !slices.ContainsFunc(f.runs()[fmt.Sprint(id)], func(r *run) bool { return r.pid == other && r.how == ended }) &&
				interrupted[fmt.Sprint(id)] != nil {
				return false
			}
		}
		return true
	})
	for id, r := range interrupted {
		if r.how != "" {
			t.Fatalf("%s had ended before the pause: this shows nothing", id)
		}
	}
	nodes[0].signal(syscall.SIGCONT)
	f.until("the node's handlers have returned", func() bool {
		for id := range interrupted {
			if f.runs()[id][0].how == "" {
				return false
			}
		}
		return true
	})
	f.join(nodes[0]) // under a new session
	nodes[0].stop()
	nodes[1].stop()

	f.all(n)
	store, refused := f.store(), 0
	for i := range n {
		id := fmt.Sprint(i)
		runs := f.runs()[id]
		last := runs[len(runs)-1]
		status, err := store.Get(t.Context(), f.identity(id))
		must(t, err)
		if status.State != task.Succeeded || status.Fence != last.fence || string(status.Details.Result) != strconv.Itoa(last.pid) {
			t.Errorf("%s is %s, by fence %d, with result %q: %s", id, status.State, status.Fence, status.Details.Result, story(runs))
		}
		if interrupted[id] == nil {
			if len(runs) != 1 {
				t.Errorf("%s ran more than once: %s", id, story(runs))
			}
			continue
		}
		how := gaveUp
		if i%2 == 0 {
			how = ended
			refused++
		}
		first := runs[0]
		if len(runs) != 2 || first.how != how || !strings.Contains(first.saw, "session is over") || last.pid != other || last.fence <= first.fence {
			t.Errorf("%s was taken over, and this is not how: %s", id, story(runs))
		}
	}
	if got := strings.Count(nodes[0].said(), "result discarded"); got < refused || refused == 0 {
		t.Errorf("%d results were refused, want %d", got, refused)
	}
}
