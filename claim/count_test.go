package claim

import (
	"fmt"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/task"
)

// What runs is asked of all nodes, and what waits is what the claims confirm of the indexes.
func TestCensus(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store) {
		now := time.Now()
		at := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
		for i := range 2 {
			indexed(t, s, fmt.Sprint("retry-", i), Claim{State: Retrying, Turn: 2, Attempt: 2, At: at(time.Minute), Type: "a"})
		}
		indexed(t, s, "later", Claim{State: Pending, Turn: 1, Attempt: 1, Flags: Delayed, At: at(time.Hour), Type: "a"})
		indexed(t, s, "dead", Claim{State: Dead, Turn: 1, Attempt: 1, At: at(-time.Hour), Type: "a"})
		// Its index says that it retries, and its claim that it has ended.
		if err := s.mark(t.Context(), []mark{{named("ended"), task.Retrying, at(0)}}); err != nil {
			t.Fatal(err)
		}
		showClaim(t, s, named("ended"), Claim{State: Succeeded, Turn: 2, Attempt: 2, At: at(0), Type: "a"})

		one, two := start(t, s, &registry{}, "one"), start(t, s, &registry{}, "two")
		listening(t, s, 2)
		ended := hold("ends", 0, 1, 1)
		one.won(ended)
		one.finish(ended, Outcome{State: Succeeded})
		for _, n := range []string{"runs", "too"} {
			one.won(hold(n+" here", 0, 1, 1))
			two.won(hold(n+" there", 0, 1, 1))
		}

		of, silent, err := s.Census(t.Context(), "q", "empty")
		if err != nil {
			t.Fatal(err)
		}
		if want := "map[empty:{0 0 0 []} q:{4 2 1 []}] 0"; fmt.Sprint(of, " ", silent) != want {
			t.Errorf("got %v %d, want %s", of, silent, want)
		}
	})
}

// Counts from an index that is full say that there may be more tasks in that state. Pitfall 48 of docs/pitfalls.md.
func TestCountsOfAFullIndexAreMarkedIncomplete(t *testing.T) {
	t.Parallel()
	s := storeAt(t, testenv.Redis(t), testenv.Unique(t))
	marks := make([]mark, indexLimit)
	for i := range marks {
		marks[i] = mark{named(fmt.Sprint(i)), task.Scheduled, time.Now().UnixMilli()}
	}
	if err := s.mark(t.Context(), marks); err != nil {
		t.Fatal(err)
	}
	of, _, err := s.Census(t.Context(), "q")
	if err != nil || fmt.Sprint(of["q"].Open) != "[scheduled]" {
		t.Errorf("got %+v (%v)", of, err)
	}
}
