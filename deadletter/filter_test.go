package deadletter_test

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestFilter(t *testing.T) {
	at := func(d time.Duration) time.Time { return epoch.Add(d) }
	deaths := []death{
		{id: "a", typ: "mail.send", reason: task.ReasonFailed, err: "no such customer 17", died: at(0)},
		{id: "b", typ: "mail.send", reason: task.ReasonExhausted, err: "connection refused", died: at(time.Minute)},
		{id: "c", typ: "report.make", reason: task.ReasonExhausted, err: "connection refused: 10.0.0.1", died: at(2 * time.Minute), source: "/reports"},
		{id: "a", typ: "mail.send", reason: task.ReasonPoison, err: "2 processes died", died: at(3 * time.Minute), generation: 1},
		{raw: &kgo.Record{Value: []byte("?")}, origin: "q.pending/0/7", reason: task.ReasonUndecodable, err: "is no CloudEvent", died: at(4 * time.Minute)},
	}
	tests := []struct {
		name   string
		filter deadletter.Filter
		want   []string
	}{
		{"nothing said", deadletter.Filter{}, []string{"a", "b", "c", "a#1", "q.pending/0/7"}},
		{"type", deadletter.Filter{Types: []string{"mail.send"}}, []string{"a", "b", "a#1"}},
		{"types", deadletter.Filter{Types: []string{"report.make", "other"}}, []string{"c"}},
		{"no type", deadletter.Filter{Types: []string{""}}, []string{"q.pending/0/7"}},
		{"reason", deadletter.Filter{Reasons: []task.Reason{task.ReasonExhausted}}, []string{"b", "c"}},
		{"reasons", deadletter.Filter{Reasons: []task.Reason{task.ReasonPoison, task.ReasonUndecodable}}, []string{"a#1", "q.pending/0/7"}},
		{"error", deadletter.Filter{Error: "refused"}, []string{"b", "c"}},
		{"error in another case", deadletter.Filter{Error: "Refused"}, nil},
		{"error is no regexp", deadletter.Filter{Error: "customer .*"}, nil},
		{"regexp", deadletter.Filter{ErrorRegexp: regexp.MustCompile(`customer [0-9]+`)}, []string{"a"}},
		{"regexp with anchors", deadletter.Filter{ErrorRegexp: regexp.MustCompile(`^connection refused$`)}, []string{"b"}},
		{"first errors are not looked at", deadletter.Filter{Error: "first"}, nil},
		{"since", deadletter.Filter{Since: at(2 * time.Minute)}, []string{"c", "a#1", "q.pending/0/7"}},
		{"since, a moment later", deadletter.Filter{Since: at(2*time.Minute + 1)}, []string{"a#1", "q.pending/0/7"}},
		{"until", deadletter.Filter{Until: at(2 * time.Minute)}, []string{"a", "b"}},
		{"between", deadletter.Filter{Since: at(time.Minute), Until: at(3 * time.Minute)}, []string{"b", "c"}},
		{"id", deadletter.Filter{IDs: []string{"a"}}, []string{"a", "a#1"}},
		{"ids", deadletter.Filter{IDs: []string{"b", "c", "d"}}, []string{"b", "c"}},
		{"id of what is no task", deadletter.Filter{IDs: []string{"q.pending/0/7"}}, []string{"q.pending/0/7"}},
		{"key", deadletter.Filter{IDs: []string{"5:/testa#1"}}, []string{"a#1"}},
		{"source", deadletter.Filter{Source: "/reports"}, []string{"c"}},
		{"all must hold", deadletter.Filter{Types: []string{"mail.send"}, Reasons: []task.Reason{task.ReasonExhausted}, Error: "refused"}, []string{"b"}},
		{"and none does", deadletter.Filter{Types: []string{"mail.send"}, Source: "/reports"}, nil},
		{"limit", deadletter.Filter{Limit: 2}, []string{"a", "b"}},
		{"limit of what matches", deadletter.Filter{Error: "refused", Limit: 1}, []string{"b"}},
	}
	on(t, 2, func(t *testing.T, g *ground) {
		g.bury(deaths...)
		for _, tt := range tests {
			if got := ids(g.list(tt.filter)); !slices.Equal(got, tt.want) {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
			stats, err := g.store.Stats(t.Context(), g.queue, tt.filter)
			if err != nil || tt.filter.Limit == 0 && int(stats.Letters) != len(tt.want) {
				t.Errorf("%s: stats count %d, want %d (%v)", tt.name, stats.Letters, len(tt.want), err)
			}
			if none := tt.name == "nothing said"; tt.filter.All() != none {
				t.Errorf("%s: leaves none out: %v", tt.name, !none)
			}
		}
	})
}
