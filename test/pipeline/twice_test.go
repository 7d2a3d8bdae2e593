package pipeline

import (
	"context"
	"sync"
	"testing"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Four producers send one ID a thousand times, before, while and after its task runs: the task runs once. Pitfall 68 of
// docs/pitfalls.md.
func TestSameTaskSentOften(t *testing.T) {
	t.Parallel()
	const producers, each = 4, 250
	f := claimed(t)
	nodes := f.ready(2)
	var sending sync.WaitGroup
	for range producers {
		p, err := producer.New(producer.Config{Brokers: f.brokers, Queue: f.queue})
		must(t, err)
		sending.Go(func() {
			for range each {
				if err := p.Send(t.Context(), work.New(workload{300}, task.ID("same"))); err != nil {
					t.Error(err)
				}
			}
			if err := p.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	sending.Wait()
	f.drained()
	nodes[0].stop()
	nodes[1].stop()
	if runs := f.runs()["same"]; len(runs) != 1 || runs[0].how != ended {
		t.Errorf("it ran %d times: %s", len(runs), story(runs))
	}
}

// drained waits until every record of the queue is committed.
func (f *fleet) drained() {
	f.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.brokers...))
	must(f.t, err)
	defer cl.Close()
	f.until("everything is committed", func() bool {
		lags, err := kadm.NewClient(cl).Lag(f.t.Context(), names.Group(f.queue, f.queue))
		must(f.t, err)
		left := int64(0)
		for _, l := range lags {
			must(f.t, l.Error())
			left += l.Lag.Total()
		}
		return left == 0
	})
}
