package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/task"
)

// TestLockedTypeUnderKills has three nodes share a type of which one task may run at a time, and kills the one that runs
// it, again and again. No two of them ever run at once, their tokens grow, another node goes on when the lease is over,
// and tasks of other types don't notice.
func TestLockedTypeUnderKills(t *testing.T) {
	onlyInFull(t)
	t.Parallel()
	for name, fleet := range map[string]func(t *testing.T) *fleet{
		"embedded": embeddedClaims,
		"real":     claimed,
		"real without claims": func(t *testing.T) *fleet {
			f := newFleet(t, testenv.Kafka(t))
			f.etcd = testenv.Etcd(t)
			return f
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			underKills(t, fleet(t))
		})
	}
}

func underKills(t *testing.T, f *fleet) {
	f.ttl = shortTTL
	f.types = "  locked: {limit: 1}\n"
	const n, kills, free = 250, 2, 200
	nodes := make(map[int]*process)
	for _, p := range f.ready(3) {
		nodes[p.pid()] = p
	}
	tasks := make([]*task.Task, n)
	for i := range tasks {
		tasks[i] = locked.New(workload{30}, task.ID(fmt.Sprintf("locked-%d", i)))
	}
	f.send(tasks...)
	died := make(map[int]time.Time)
	for k := range kills {
		var holder *run
		f.until("one is at work", func() bool {
			holder = latest(f.lockedRuns())
			return holder != nil && holder.how == "" && died[holder.pid].IsZero() && len(f.lockedRuns()) > 50*(k+1)
		})
		died[holder.pid] = nodes[holder.pid].kill()
		f.short(fmt.Sprintf("free%d", k), free)
		f.until("the free type is done", func() bool { return f.done(fmt.Sprintf("free%d-", k)) == free })
		took := time.Since(died[holder.pid])
		f.until("another node goes on", func() bool { return latest(f.lockedRuns()).pid != holder.pid })
		// Three fleets do this at once here: what they wait for the machine is not the lock's.
		if gap := latest(f.lockedRuns()).at.Sub(died[holder.pid]); gap > f.ttl+6*time.Second {
			t.Errorf("the lock was free %v after its holder was killed", gap)
		} else {
			t.Logf("%d of a free type took %v beside it; the lock was free after %v", free, took, gap)
		}
		p := f.start()
		nodes[p.pid()] = p
	}
	f.until("all have run", func() bool { return f.done("locked-") == n })
	for pid, p := range nodes {
		if died[pid].IsZero() {
			p.stop()
		}
	}

	var before *run
	for _, r := range f.lockedRuns() {
		if r.fence <= 0 {
			t.Fatalf("a locked task ran in no slot")
		}
		if before != nil {
			until := before.until
			if before.how == "" {
				until = died[before.pid]
			}
			if r.at.Before(until) {
				t.Errorf("a run began %v before the one before it had ended", until.Sub(r.at))
			}
			if r.fence < before.fence {
				t.Errorf("token %d came after %d", r.fence, before.fence)
			}
		}
		before = r
	}
}

// lockedRuns are the runs of the locked type in the order of their starts.
func (f *fleet) lockedRuns() (runs []*run) {
	f.t.Helper()
	for id, of := range f.runs() {
		if strings.HasPrefix(id, "locked-") {
			runs = append(runs, of...)
		}
	}
	slices.SortFunc(runs, func(a, b *run) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.fence, b.fence)) })
	return runs
}

func latest(runs []*run) *run {
	if len(runs) == 0 {
		return nil
	}
	return runs[len(runs)-1]
}

// short publishes n short tasks whose ids begin with a word.
func (f *fleet) short(word string, n int) {
	f.t.Helper()
	tasks := make([]*task.Task, n)
	for i := range tasks {
		tasks[i] = work.New(workload{1}, task.ID(fmt.Sprintf("%s-%d", word, i)))
	}
	f.send(tasks...)
}

// done counts the tasks whose ids begin so and that have ended.
func (f *fleet) done(prefix string) (n int) {
	f.t.Helper()
	for id, runs := range f.runs() {
		if strings.HasPrefix(id, prefix) && slices.ContainsFunc(runs, func(r *run) bool { return r.how == ended }) {
			n++
		}
	}
	return n
}
