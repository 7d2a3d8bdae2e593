package pipeline

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestIdleNodeHelpsASaturatedOne: long tasks all lie in the partitions of one node, which is saturated. After 5 s the other
// one, which has nothing to do, gets some: no more than it has slots for, directly to its own partitions. Each runs once.
func TestIdleNodeHelpsASaturatedOne(t *testing.T) {
	onlyInFull(t)
	t.Parallel()
	const (
		tasks = 24
		takes = 2000 // ms each: alone the one node would need 12 s
	)
	f := claimed(t)
	f.concurrency = 4
	nodes := f.ready(2)
	adm := f.admin()
	shares := f.shares(adm, 2)
	before := f.ends(adm)

	records := make([]*kgo.Record, tasks)
	for i := range records {
		records[i] = record.Encode(work.New(workload{takes}, task.ID(fmt.Sprint(i))), names.Pending(f.queue))
		records[i].Partition = shares[0][i%len(shares[0])]
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(t, err)
	defer cl.Close()
	sent := time.Now()
	must(t, cl.ProduceSync(t.Context(), records...).FirstErr())
	f.await(tasks)
	t.Logf("%d tasks of %d ms were done after %s", tasks, takes, time.Since(sent))
	for _, n := range nodes {
		n.stop()
	}
	f.onceEach(tasks)

	// Who ran the first ones has the partitions; the other one is the idle node.
	var idle []*run
	busy := 0
	for i := range tasks {
		r := f.runs()[fmt.Sprint(i)][0]
		if r.at.Sub(sent) > 5*time.Second && r.pid != f.firstOf(tasks).pid {
			idle = append(idle, r)
		} else if r.pid != f.firstOf(tasks).pid {
			t.Errorf("the idle node ran a task %s after it was sent, before it had waited for long", r.at.Sub(sent))
		} else {
			busy++
		}
	}
	t.Logf("the saturated node ran %d, the idle one %d", busy, len(idle))
	if len(idle) < 2 {
		t.Errorf("of %d tasks that waited the idle node ran %d", tasks, len(idle))
	}
	for _, r := range idle {
		together := 0
		for _, other := range idle {
			if !other.at.After(r.at) && other.until.After(r.at) {
				together++
			}
		}
		if together > f.concurrency {
			t.Errorf("the idle node ran %d at once", together)
		}
	}
	after := f.ends(adm)
	var kept, came int64
	for p := range after {
		if slices.Contains(shares[0], int32(p)) {
			kept += after[p] - before[p]
		} else {
			came += after[p] - before[p]
		}
	}
	if kept != tasks || came != int64(len(idle)) {
		t.Errorf("%d records went to the partitions of the saturated node and %d to those of the idle one, want %d and the %d that ran there", kept, came, tasks, len(idle))
	}
	lags, err := adm.Lag(t.Context(), names.Group(f.queue, f.queue))
	must(t, err)
	for _, l := range lags {
		if lag := l.Lag.Total(); lag != 0 {
			t.Errorf("%d records are not committed after a clean stop", lag)
		}
	}
}

// firstOf is the run that started first of load's tasks.
func (f *fleet) firstOf(n int) (first *run) {
	f.t.Helper()
	for i := range n {
		if r := f.runs()[fmt.Sprint(i)][0]; first == nil || r.at.Before(first.at) {
			first = r
		}
	}
	return first
}

func (f *fleet) admin() *kadm.Client {
	f.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.brokers...))
	must(f.t, err)
	f.t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

// shares waits until so many nodes have an equal part of the queue's partitions each, and returns them.
func (f *fleet) shares(adm *kadm.Client, nodes int) (shares [][]int32) {
	f.t.Helper()
	f.until("the partitions are shared", func() bool {
		groups, err := adm.DescribeGroups(f.t.Context(), names.Group(f.queue, f.queue))
		must(f.t, err)
		shares = nil
		for _, g := range groups {
			for _, m := range g.Members {
				assigned, ok := m.Assigned.AsConsumer()
				if !ok {
					return false
				}
				for _, topic := range assigned.Topics {
					if len(topic.Partitions) == partitions/nodes {
						shares = append(shares, topic.Partitions)
					}
				}
			}
			if g.State != "Stable" {
				return false
			}
		}
		return len(shares) == nodes
	})
	return shares
}

// ends are the offsets behind the last records of the queue's partitions.
func (f *fleet) ends(adm *kadm.Client) []int64 {
	f.t.Helper()
	listed, err := adm.ListEndOffsets(f.t.Context(), names.Pending(f.queue))
	must(f.t, err)
	ends := make([]int64, partitions)
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends
}
