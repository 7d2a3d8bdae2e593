package pipeline

import (
	"testing"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/task"
)

// TestCancel: a task that was canceled before it began never starts, and one that runs hears of it; what does not listen
// and succeeds has succeeded.
func TestCancel(t *testing.T) {
	t.Parallel()
	f := claimed(t)
	store := f.store()
	cancel := func(id string) claim.Cancellation {
		c, err := store.Cancel(t.Context(), f.identity(id), claim.Window{})
		must(t, err)
		return c
	}
	const long = 60_000
	f.send(work.New(workload{long}, task.ID("waits")))
	if c := cancel("waits"); c.After != task.Canceled {
		t.Errorf("canceled before it began, it is %s", c.After)
	}
	nodes := f.ready(2)
	f.send(
		work.New(workload{long}, task.ID("runs")), deaf.New(workload{2000}, task.ID("deaf")),
		work.New(workload{long}, task.ID("waits")), // sent again
		work.New(workload{1}, task.ID("other")))
	f.until("they run", func() bool { return len(f.runs()["runs"]) == 1 && len(f.runs()["deaf"]) == 1 })
	for _, id := range []string{"runs", "deaf"} {
		if c := cancel(id); c.Before != task.Running || !c.Asked {
			t.Errorf("canceled while it runs, %s is %s, asked %t", id, c.Before, c.Asked)
		}
	}
	f.until("they have returned", func() bool { return f.runs()["runs"][0].how != "" && f.runs()["deaf"][0].how != "" })
	f.send(work.New(workload{long}, task.ID("runs"))) // again: it is over
	f.drained()
	nodes[0].stop()
	nodes[1].stop()

	for id, want := range map[string]struct {
		state task.State
		how   []string
	}{
		"waits": {task.Canceled, nil},
		"runs":  {task.Canceled, []string{gaveUp}},
		"deaf":  {task.Succeeded, []string{ended}},
		"other": {task.Succeeded, []string{ended}},
	} {
		status, err := store.Get(t.Context(), f.identity(id))
		must(t, err)
		runs := f.runs()[id]
		bad := status.State != want.state || len(runs) != len(want.how)
		for i, r := range runs {
			bad = bad || r.how != want.how[i]
		}
		if bad {
			t.Errorf("%s is %s, want %s: %s", id, status.State, want.state, story(runs))
		}
	}
	for _, id := range []string{"runs", "deaf"} {
		if saw := f.runs()[id][0].saw; saw != claim.ErrCanceled.Error() {
			t.Errorf("the context of %s ended because of %q", id, saw)
		}
	}
}
