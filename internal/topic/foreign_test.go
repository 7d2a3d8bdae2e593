package topic_test

import (
	"slices"
	"testing"

	"github.com/tasktier/tasktier/internal/topic"
	"github.com/twmb/franz-go/pkg/kadm"
)

func TestForeign(t *testing.T) {
	_, adm := fake(t, 3)
	ensured(t, adm, specs(tasks))
	foreign(t, adm, "tasks", "")
}

// foreign checks Foreign on a cluster that has the topics of queue. Prefix makes the groups' names unique.
func foreign(t *testing.T, adm *kadm.Client, queue, prefix string) {
	t.Helper()
	commit := func(group, topic string, partition int32) {
		t.Helper()
		var o kadm.Offsets
		o.AddOffset(topic, partition, 0, -1)
		if err := adm.CommitAllOffsets(t.Context(), group, o); err != nil {
			t.Fatal(err)
		}
	}
	commit(prefix+"own", queue+".pending", 0)
	commit(prefix+"elsewhere", queue+".dead", 0)
	commit(prefix+"report", queue+".pending", 2)
	commit(prefix+"audit", queue+".pending", 0)

	got, err := topic.Foreign(t.Context(), adm, queue+".pending", prefix+"own")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{prefix + "audit", prefix + "report"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
