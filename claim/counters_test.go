package claim

import (
	"fmt"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
)

// What nodes count in the buckets of many tasks comes out as one number.
func TestCounts(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store) {
		n := start(t, s, &registry{}, "me")
		const many = 3 * buckets
		for i := range many {
			h := n.won(hold(fmt.Sprint(i), 0, 1, 1))
			o := Outcome{State: Succeeded}
			switch i {
			case 0:
				o = Outcome{State: Retrying, Due: time.Now().Add(time.Minute)}
			case 1:
				o = Outcome{State: Pending, Due: time.Now().Add(time.Minute)}
			}
			n.finish(h, o)
		}
		counts, err := s.Counts(within(t, patience), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		for i, c := range counts {
			if c.Queue != "q" || c.Type != "mail send" || c.Minute.Unix()%60 != 0 || time.Since(c.Minute) > time.Minute+patience {
				t.Errorf("got %+v", c)
			}
			if i > 0 && c.Minute.Before(counts[i-1].Minute) {
				t.Errorf("not in order: %v", counts)
			}
			got[c.Outcome] += c.Tasks
		}
		if len(got) != 3 || got["succeeded"] != many-2 || got["retrying"] != 1 || got["snoozed"] != 1 {
			t.Errorf("got %v", got)
		}
	})
}

// Minutes count for themselves, from the first that is asked for; types may contain anything.
func TestCountsByMinute(t *testing.T) {
	s := storeAt(t, testenv.Redis(t), testenv.Unique(t))
	now := time.Now()
	for ago, n := range map[time.Duration]int64{0: 1, 10 * time.Minute: 2, 70 * time.Minute: 4, 24 * time.Hour: 8} {
		key := s.countersKey(int(n)%buckets, now.Add(-ago).Unix()/60)
		for field, times := range map[string]int64{counterField("q", "a b", "succeeded"): n, counterField("q", "a\x00b", "dead"): 100 * n} {
			if err := s.client.HIncrBy(t.Context(), key, field, times).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for since, want := range map[time.Duration]int64{-time.Hour: 1, 0: 1, 15 * time.Minute: 3, 2 * time.Hour: 7, 25 * time.Hour: 15, 1000 * time.Hour: 15} {
		counts, err := s.Counts(within(t, patience), since)
		if err != nil {
			t.Fatal(err)
		}
		sum := map[string]int64{}
		for _, c := range counts {
			sum[c.Type+" "+c.Outcome] += c.Tasks
		}
		if sum["a b succeeded"] != want || sum["ab dead"] != 100*want || len(sum) != 2 {
			t.Errorf("since %v: %v, want %d", since, sum, want)
		}
	}
	if _, err := storeAt(t, "127.0.0.1:1", "").Counts(within(t, patience), time.Hour); err == nil {
		t.Error("no error without Redis")
	}
}
