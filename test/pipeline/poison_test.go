package pipeline

import (
	"fmt"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestPoison: a task that takes down every process that runs it is dead after three, and of the tasks that shared them
// none is; all nodes are started again when they die.
func TestPoison(t *testing.T) {
	onlyInFull(t)
	t.Parallel()
	const n = 12
	f := claimed(t)
	f.concurrency, f.ttl, f.deadly = 2*n, 2*time.Second, true
	nodes := f.ready(2)
	tasks := []*task.Task{fatal.New(workload{200}, task.ID("culprit"))}
	for i := range n {
		tasks = append(tasks, work.New(workload{500}, task.ID(fmt.Sprint(i))))
	}
	f.send(tasks...)
	store, deaths := f.store(), 0
	f.until("all are done", func() bool {
		for i, p := range nodes {
			select {
			case <-p.Done():
				if p.Code() != crashed {
					t.Fatalf("the node ended: %v\n%s", p.Wait(), p.said())
				}
				deaths++
				nodes[i] = f.start()
			default:
			}
		}
		if f.ended() < n {
			return false
		}
		status, err := store.Get(t.Context(), f.identity("culprit"))
		must(t, err)
		return status.State == task.Dead
	})
	for _, p := range nodes {
		p.stop()
	}
	f.all(n)

	if runs := f.runs()["culprit"]; len(runs) != 3 || deaths != 3 {
		t.Errorf("it took %d processes down in %d runs, want 3: %s", deaths, len(runs), story(runs))
	}
	status, err := store.Get(t.Context(), f.identity("culprit"))
	must(t, err)
	if status.Details.Reason != task.ReasonPoison || status.Crashes != 3 {
		t.Errorf("it is %s as %s after %d crashes", status.State, status.Details.Reason, status.Crashes)
	}
	shared := 0
	for i := range n {
		id := fmt.Sprint(i)
		status, err := store.Get(t.Context(), f.identity(id))
		must(t, err)
		if status.State != task.Succeeded {
			t.Errorf("%s, which is innocent, is %s: %s", id, status.State, story(f.runs()[id]))
		}
		if len(f.runs()[id]) > 1 {
			shared++
		}
	}
	t.Logf("%d of %d innocent tasks ran more than once", shared, n)
	if shared == 0 {
		t.Error("no innocent task shared a process with the culprit: this shows nothing")
	}
	for id, runs := range f.runs() {
		for i, r := range runs[1:] {
			if r.fence <= runs[i].fence {
				t.Errorf("the fences of %s don't grow: %s", id, story(runs))
			}
		}
	}
	letters := f.letters()
	if len(letters) != 1 || letters[0]["ce_id"] != "culprit" || letters[0]["ce_ttreason"] != "poison" || letters[0]["ce_ttcrashes"] != "3" {
		t.Errorf("the dead letters are %v", letters)
	}
}

// letters reads the headers of all dead letters.
func (f *fleet) letters() []map[string]string {
	f.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.brokers...), kgo.ConsumeTopics(names.Dead(f.queue)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	must(f.t, err)
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(f.t.Context(), names.Dead(f.queue))
	must(f.t, err)
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	var letters []map[string]string
	for ; left > 0; left-- {
		fetches := cl.PollRecords(f.t.Context(), 1)
		must(f.t, fetches.Err())
		letter := make(map[string]string)
		for _, h := range fetches.Records()[0].Headers {
			letter[h.Key] = string(h.Value)
		}
		letters = append(letters, letter)
	}
	return letters
}
