package retry

import (
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
)

// A record keeps its due time through every tier; no tier replaces it by one of its own. Pitfall 11 of
// docs/pitfalls.md.
func TestDueTimeSurvivesRouting(t *testing.T) {
	w := &Writer{prefix: "p"}
	due := time.Now().Add(100 * time.Hour).Truncate(time.Millisecond).UTC()
	r := record.Encode(task.New("t", nil, task.ID("1"), task.Source("/s")), "")
	for _, left := range []time.Duration{100 * time.Hour, 40 * time.Hour, time.Hour, time.Minute} {
		r = w.render(Wait{Queue: "q", Record: r, Due: due, Turn: 2, Attempt: 3, Err: "last", FirstErr: "first"})
		stamp, err := record.ReadStamp(r)
		if err != nil || !stamp.Due.Equal(due) || stamp.Queue != "q" || stamp.Turn != 2 || stamp.Attempt != 3 || stamp.Err != "last" || stamp.FirstErr != "first" {
			t.Fatalf("with %v left the stamp is %+v, %v", left, stamp, err)
		}
	}
}
