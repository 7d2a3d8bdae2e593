package cron_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tasktier/tasktier/schedule/cron"
	"pgregory.net/rapid"
)

func TestNewest(t *testing.T) {
	e := parse(t, "@every 10s", "")
	from := at(t, "2026-06-01T00:00:00Z")
	seconds := func(n float64) time.Time { return from.Add(time.Duration(n * float64(time.Second))) }
	for _, tt := range []struct {
		name         string
		after, until float64 // seconds
		limit        int
		want         []float64
		more         bool
	}{
		{"none is due", 0, 9.9, 3, nil, false},
		{"the first instant is out, the last one in", 0, 20, 3, []float64{10, 20}, false},
		{"as many as may be", 0, 30, 3, []float64{10, 20, 30}, false},
		{"one more", 0, 40, 3, []float64{20, 30, 40}, true},
		{"many more", 5, 86400, 2, []float64{86390, 86400}, true},
		{"parts of a second", 9.5, 10.5, 3, []float64{10}, false},
		{"the clock went back", 60, 10, 3, nil, false},
		{"nothing is asked for", 0, 20, 0, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, more := e.Newest(seconds(tt.after), seconds(tt.until), tt.limit)
			same := slices.EqualFunc(got, tt.want, func(a time.Time, b float64) bool { return a.Equal(seconds(b)) })
			if !same || more != tt.more {
				t.Errorf("got %v (more: %v), want %v (more: %v)", got, more, tt.want, tt.more)
			}
		})
	}
}

// The bound is one of work too: a schedule of every second that was away for decades.
func TestNewestOfAVeryLongTime(t *testing.T) {
	e := parse(t, "* * * * * *", "Europe/Berlin")
	until := at(t, "2026-10-25T01:00:00Z")
	begun := time.Now()
	ticks, more := e.Newest(at(t, "1970-01-01T00:00:00Z"), until, 1000)
	if len(ticks) != 1000 || !more || !ticks[999].Equal(until) || !ticks[0].Equal(until.Add(-999*time.Second)) {
		t.Errorf("%d ticks, more: %v", len(ticks), more)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

// Newest is the end of the list of all, whichever way it is found.
func TestNewestIsTheEndOfAll(t *testing.T) {
	var expressions []cron.Expression
	for _, text := range []string{"*/7 * * * *", "30 2 * * *", "0 0 * * 1", "@every 17m", "5,6,7 */3 1-7 * sun", "0 1 29 2 *"} {
		for _, zone := range []string{"", "Europe/Berlin", "America/New_York", "America/Santiago"} {
			expressions = append(expressions, parse(t, text, zone))
		}
	}
	start := at(t, "2026-01-01T00:00:00Z")
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.SampledFrom(expressions).Draw(t, "expression")
		after := start.Add(time.Duration(rapid.Int64Range(0, 400*86400).Draw(t, "after")) * time.Second)
		until := after.Add(time.Duration(rapid.Int64Range(-100, 20*86400).Draw(t, "length")) * time.Second)
		limit := rapid.IntRange(1, 30).Draw(t, "limit")
		all, more := e.Newest(after, until, 1<<20)
		if more {
			t.Fatal("there are not that many")
		}
		got, more := e.Newest(after, until, limit)
		want := all[max(0, len(all)-limit):]
		if !slices.EqualFunc(got, want, time.Time.Equal) || more != (len(all) > limit) {
			t.Fatalf("got %v (more: %v), want %v of %d", got, more, want, len(all))
		}
	})
}
