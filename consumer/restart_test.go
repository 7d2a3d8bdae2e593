package consumer

import (
	"testing"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRestartSkipsNothingUnfinished: a log that was truncated to above an unfinished record is read from that one on.
func TestRestartSkipsNothingUnfinished(t *testing.T) {
	c, err := New(Config{Kafka: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, Queues: []Queue{{Name: "tasks"}}, Mux: NewMux()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	q := c.queues[0]
	fetched := func(offsets ...int64) kgo.Fetches {
		var records []*kgo.Record
		for _, o := range offsets {
			records = append(records, &kgo.Record{Topic: names.Pending("tasks"), Offset: o})
		}
		return kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: names.Pending("tasks"), Partitions: []kgo.FetchPartition{{Records: records}}}}}}
	}
	q.assigned(map[string][]int32{names.Pending("tasks"): {0}})

	turns := q.admit(fetched(5, 6, 7, 8))
	p := turns[0].part
	for _, done := range turns[1:] {
		p.start()
		p.settle(done)
	}
	if got := q.admit(fetched(7, 8)); len(got) != 0 {
		t.Errorf("%d records above the unfinished one were taken", len(got))
	}
	if now := q.partitions[0]; now == p || now.tracker.Offset() != -1 {
		t.Error("the partition did not begin anew")
	}
	// What was unfinished comes again, and now the log goes back below all that is unfinished.
	if got := q.admit(fetched(5, 6)); len(got) != 2 || got[0].part == p {
		t.Errorf("%d records are taken after the restart, want 2", len(got))
	}
	if got := q.admit(fetched(0, 1)); len(got) != 2 || q.partitions[0].tracker.Offset() != 0 {
		t.Errorf("%d records of a re-created log are taken, want 2", len(got))
	}
}
