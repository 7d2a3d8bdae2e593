package schedule

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tasktier/tasktier/schedule/cron"
)

// FuzzProgress: whatever etcd remembers of a schedule, no more ticks come due than can be made up for, none twice and none
// from the future.
func FuzzProgress(f *testing.F) {
	for _, text := range []string{
		`{"cron":"* * * * * *","settled":"2026-03-01T00:00:00Z","last":"2026-03-01T00:00:00Z"}`, `{"cron":"* * * * * *","settled":"0001-01-01T00:00:01Z"}`,
		`{"cron":"* * * * * *","settled":"9999-12-31T23:59:59Z"}`, `{"cron":"* * * * * *","settled":"-0001-01-01T00:00:00Z"}`, `{"settled":7}`, `{}`, `null`, ``,
		`{"cron":"* * * * * *","settled":"2026-03-01T23:59:59.999999999+23:59"}`,
	} {
		for kind := range byte(3) {
			f.Add([]byte(text), kind)
		}
	}
	entry := Entry{Cron: "* * * * * *"}
	when, err := cron.Parse(entry.Cron, "")
	if err != nil {
		f.Fatal(err)
	}
	now := time.Date(2026, 3, 2, 12, 0, 0, 5, time.UTC)
	f.Fuzz(func(t *testing.T, text []byte, kind byte) {
		var p Progress
		if json.Unmarshal(text, &p) != nil || !p.of(entry) {
			return // it starts anew
		}
		m := []Missed{Skip, Once, All}[kind%3]
		d := ticksDue(when, m, p.Settled, now)
		if most := CatchUp + int(Grace/time.Second) + 1; len(d.send) > most {
			t.Fatalf("read %q: %d ticks are due, at most %d can be", text, len(d.send), most)
		}
		before := p.Settled
		for _, tick := range d.send {
			if !tick.After(before) || tick.After(now) {
				t.Fatalf("read %q: a tick at %v, after %v, when it is %v", text, tick, before, now)
			}
			before = tick
		}
		if !d.dropped.IsZero() && len(d.send) > 0 && !d.send[0].After(d.dropped) {
			t.Fatalf("read %q: %v is sent, and %v dropped", text, d.send[0], d.dropped)
		}
		if _, next := p.Ticks(entry, when, now); !next.IsZero() && !next.After(now) {
			t.Fatalf("read %q: the next tick was at %v", text, next)
		}
	})
}
