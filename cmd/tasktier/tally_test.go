package main

import (
	"testing"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

func settled(id string, state task.State, reason task.Reason) consumer.Settled {
	return consumer.Settled{Task: &task.Task{ID: id, Source: "/s"}, State: state, Reason: reason}
}

func over(t *tally) bool {
	select {
	case <-t.over:
		return true
	default:
		return false
	}
}

func TestTallyAddsUp(t *testing.T) {
	n := newTally()
	for _, id := range []string{"a", "b", "c", "d"} {
		if !n.expect("/s", id) {
			t.Errorf("%s is new", id)
		}
	}
	if n.expect("/s", "a") {
		t.Error("a was there before")
	}
	n.settle(settled("a", task.Succeeded, ""))
	n.settle(settled("a", task.Dead, task.ReasonFailed)) // its second delivery: the first end counts
	n.settle(settled("b", task.Dead, task.ReasonFailed))
	n.settle(settled("c", task.Dead, task.ReasonExhausted))
	if n.settle(settled("of-an-earlier-run", task.Succeeded, "")) {
		t.Error("a task that was not sent here was counted")
	}
	got := n.outcomes()
	if got.Succeeded != 1 || got.Dead != 2 || got.Reasons[task.ReasonFailed] != 1 || got.Reasons[task.ReasonExhausted] != 1 ||
		got.Duplicates != 1 || got.Unfinished != 1 {
		t.Errorf("%+v", got)
	}
}

func TestTallyIsOverWhenAllThatWasSentHasEnded(t *testing.T) {
	n := newTally()
	n.expect("/s", "a")
	n.expect("/s", "a") // once more: not to be waited for twice
	n.settle(settled("a", task.Succeeded, ""))
	if over(n) {
		t.Error("over before the file was")
	}
	b := n.expect("/s", "b")
	n.seal()
	if over(n) {
		t.Error("over before b was")
	}
	n.unsent("/s", "b", b)
	if !over(n) {
		t.Error("not over, though nothing is left")
	}
}

func TestTallyKeepsSourcesApart(t *testing.T) {
	n := newTally()
	if !n.expect("/a", "b/c") || !n.expect("/a/b", "c") || !n.expect("/a", "c") {
		t.Error("tasks of different sources were taken for one")
	}
}

// A task whose acknowledgement was lost may have been written, and executed.
func TestTallyOfATaskThatEndedWithoutAcknowledgement(t *testing.T) {
	n := newTally()
	isNew := n.expect("/s", "a")
	n.settle(settled("a", task.Succeeded, ""))
	n.unsent("/s", "a", isNew)
	n.seal()
	if got := n.outcomes(); got.Succeeded != 1 || got.Unfinished != 0 || !over(n) {
		t.Errorf("%+v", got)
	}
}
