package pipeline

import (
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
)

// TestKilledNodeIsTakenOver: of what three nodes do under load, only what ran on the one that is killed runs again, and
// soon.
func TestKilledNodeIsTakenOver(t *testing.T) {
	t.Parallel()
	f := claimed(t)
	killOneOfThree(f)
}

func TestKilledNodeIsTakenOverOnACluster(t *testing.T) {
	onlyInFull(t)
	t.Parallel()
	f := claimed(t)
	f.redis, f.cluster = testenv.RedisCluster(t), true
	killOneOfThree(f)
}

// killOneOfThree has tasks that take long enough for the nodes to be at work when the kill is due, however busy the machine is.
func killOneOfThree(f *fleet) {
	f.t.Helper()
	const n, least, most = 2000, 100, 300 // milliseconds
	f.concurrency = 20
	nodes := f.ready(3)
	f.load(n, least, most)
	f.await(n / 4)
	killed := nodes[0].kill()
	if f.ended() == n {
		f.t.Fatal("all tasks had ended before the kill: this shows nothing")
	}
	f.await(n)
	nodes[1].stop()
	nodes[2].stop()
	f.all(n)
	f.succeeded(n)

	running, recorded, last := 0, 0, killed
	for id, runs := range f.repeats() {
		if len(runs) != 2 || runs[0].pid != nodes[0].pid() || runs[1].pid == nodes[0].pid() || runs[1].how != ended {
			f.t.Errorf("%s was not in flight on the killed node and ran more than once: %s", id, story(runs))
			continue
		}
		if runs[0].how == "" {
			running++
		} else {
			recorded++
		}
		if runs[1].at.After(last) {
			last = runs[1].at
		}
	}
	took := last.Sub(killed)
	f.t.Logf("%d ran again that were running, %d whose end was being recorded, the last one %s after the kill", running, recorded, took)
	if running == 0 {
		f.t.Error("nothing was running on the killed node: this shows nothing")
	}
	// A slot is given to the next task while the end of the last is being recorded.
	if running > f.concurrency || recorded > f.concurrency {
		f.t.Errorf("a node that runs %d at once can't have had so much in flight", f.concurrency)
	}
	if limit := f.ttl + 3*time.Second; took > limit {
		f.t.Errorf("they were taken over %s after the kill, at most %s were promised", took, limit)
	}
}
