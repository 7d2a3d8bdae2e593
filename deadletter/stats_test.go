package deadletter_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestStats(t *testing.T) {
	on(t, 3, func(t *testing.T, g *ground) {
		empty, err := g.store.Stats(t.Context(), g.queue, deadletter.Filter{})
		if err != nil || empty.Letters != 0 || !empty.Oldest.IsZero() || len(empty.Types) != 0 {
			t.Errorf("of nothing: %+v, %v", empty, err)
		}
		g.bury(
			death{id: "1"}, death{id: "2", typ: "report.make", died: epoch.Add(-time.Hour)}, death{id: "3", reason: task.ReasonPoison},
			death{id: "4", died: epoch.Add(-24 * time.Hour)}, death{id: "5", reason: "of somebody's own", died: epoch.Add(time.Hour)},
			death{raw: &kgo.Record{Value: []byte("?")}, origin: "q.pending/0/7", reason: task.ReasonUndecodable},
		)
		g.raise("4", 0)                                     // the oldest is gone
		g.bury(death{id: "1", reason: task.ReasonOversize}) // and this one is another
		got, err := g.store.Stats(t.Context(), g.queue, deadletter.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		bytes := int64(0)
		for _, l := range g.list(deadletter.Filter{}) {
			bytes += int64(l.Bytes())
		}
		want := map[task.Reason]int64{task.ReasonFailed: 1, task.ReasonPoison: 1, task.ReasonOversize: 1, task.ReasonUndecodable: 1, deadletter.ReasonOther: 1}
		if got.Letters != 5 || got.Bytes != bytes || !maps.Equal(got.Reasons, want) || !got.Oldest.Equal(epoch.Add(-time.Hour)) || !got.Newest.Equal(epoch.Add(time.Hour)) {
			t.Errorf("%+v", got)
		}
		if fmt.Sprint(got.Types) != "[{mail.send 3} { 1} {report.make 1}]" {
			t.Errorf("types %v", got.Types)
		}
	})
}

// Whoever makes types up can't fill the memory: the most frequent ones are named, the others counted.
func TestStatsOfManyTypes(t *testing.T) {
	g := newGround(t, kafkas["kfake"](t), 2, nil)
	var deaths []death
	for i := range 12_000 {
		d := death{id: fmt.Sprint(i), typ: fmt.Sprintf("type-%d", i)}
		if i < 500 {
			d.typ = "frequent"
		}
		deaths = append(deaths, d)
	}
	g.bury(deaths...)
	got, err := g.store.Stats(t.Context(), g.queue, deadletter.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Types) != deadletter.MaxTypes || got.Types[0] != (deadletter.TypeCount{Type: "frequent", Letters: 500}) || got.OtherTypes != 12_000-500-99 {
		t.Errorf("%d types, the first %v, %d others", len(got.Types), got.Types[0], got.OtherTypes)
	}
}
