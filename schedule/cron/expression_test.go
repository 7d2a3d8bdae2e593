package cron_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/schedule/cron"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	tm, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return tm
}

func parse(t *testing.T, expression, zone string) cron.Expression {
	t.Helper()
	e, err := cron.Parse(expression, zone)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestNext(t *testing.T) {
	for _, tt := range []struct{ expression, zone, after, want string }{
		{"0 2 * * *", "", "2026-06-01T01:59:59.5Z", "2026-06-01T02:00:00Z"},
		{"0 2 * * *", "", "2026-06-01T02:00:00Z", "2026-06-02T02:00:00Z"},
		{"0 2 * * *", "Europe/Berlin", "2026-06-01T02:00:00Z", "2026-06-02T00:00:00Z"},
		{"  0 2 * * mon-fri ", "", "2026-06-05T02:00:00Z", "2026-06-08T02:00:00Z"},
		{"*/10 * * * * *", "", "2026-06-01T00:00:01Z", "2026-06-01T00:00:10Z"}, // six fields: seconds
		{"@hourly", "", "2026-06-01T00:00:01Z", "2026-06-01T01:00:00Z"},
		{"@weekly", "", "2026-06-01T00:00:01Z", "2026-06-07T00:00:00Z"},
		{"0 0 29 2 *", "", "2026-06-01T00:00:00Z", "2028-02-29T00:00:00Z"},
		{"@every 90s", "", "2026-06-01T00:00:00Z", "2026-06-01T00:01:30Z"},
		{"@every 90s", "Europe/Berlin", "2026-06-01T00:01:29.999Z", "2026-06-01T00:01:30Z"},
		{"@every 10m", "", "2026-06-01T00:17:03Z", "2026-06-01T00:20:00Z"}, // whenever the process started
		{"@every 10m", "", "1969-12-31T23:57:00Z", "1970-01-01T00:00:00Z"},
		{"@every 24h", "America/New_York", "2026-06-01T00:17:03Z", "2026-06-02T00:00:00Z"},
	} {
		next := parse(t, tt.expression, tt.zone).Next(at(t, tt.after))
		if got := next.UTC().Format(time.RFC3339Nano); got != tt.want {
			t.Errorf("%q in %q ticks after %s at %s, want %s", tt.expression, tt.zone, tt.after, got, tt.want)
		}
	}
}

func TestNextIsInItsZone(t *testing.T) {
	next := parse(t, "30 2 * * *", "Europe/Berlin").Next(at(t, "2026-06-01T00:00:00Z"))
	if got := next.Format(time.RFC3339); got != "2026-06-01T02:30:00+02:00" {
		t.Errorf("got %s", got)
	}
}

func TestRefusedExpressions(t *testing.T) {
	for _, tt := range []struct{ expression, zone, says string }{
		{"", "", "it is empty"},
		{" ", "", "it is empty"},
		{"* * * *", "", "expected 5 to 6 fields"},
		{"60 * * * *", "", "above maximum"},
		{"every day", "", "expected 5 to 6 fields"},
		{"@noon", "", "unrecognized descriptor"},
		{"0 0 30 2 *", "", "never ticks"},
		{"0 0 , * *", "", "a field is empty"},
		{", * * * * *", "", "a field is empty"},
		{"TZ=Europe/Berlin 0 2 * * *", "", "goes beside it"},
		{"CRON_TZ=UTC 0 2 * * *", "UTC", "goes beside it"},
		{"TZ=UTC", "", "goes beside it"}, // the parser would panic
		{"@every", "", "unrecognized descriptor"},
		{"@every soon", "", "no duration"},
		{"@every 0s", "", "at least 1s"},
		{"@every -5s", "", "at least 1s"},
		{"@every 1500ms", "", "whole seconds"},
		{"0 2 * * *", "Europe/Berln", "none of that name"},
		{"0 2 * * *", "Local", "another one on each machine"},
		{"0 2 * * *", "../etc/passwd", "none of that name"},
	} {
		if _, err := cron.Parse(tt.expression, tt.zone); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q in %q: got %v, want an error with %q", tt.expression, tt.zone, err, tt.says)
		}
	}
}

// FuzzParse looks for expressions that the parser chokes on, or whose ticks do not go forward.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"0 2 * * *", "*/5 1-3,7 ? jan-mar/2 sun", "@every 1h30m", "@daily", "TZ=UTC", "1/2/3 - , / *", "@every 9223372036s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		e, err := cron.Parse(expression, "Europe/Berlin")
		if err != nil {
			return
		}
		from := at(t, "2026-03-28T22:00:00Z")
		for range 3 {
			next := e.Next(from)
			if next.IsZero() {
				return
			}
			if !next.After(from) || next.Nanosecond() != 0 {
				t.Fatalf("%q ticks after %s at %s", expression, from, next)
			}
			from = next
		}
	})
}
