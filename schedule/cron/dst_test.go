package cron_test

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Around changes of the clock, ticks are as the package documentation says: in two zones with different days and hours,
// and in one that skips midnight. Pitfall 61 of docs/pitfalls.md.
func TestChangesOfTheClock(t *testing.T) {
	const berlin, newYork = "Europe/Berlin", "America/New_York"
	for _, tt := range []struct {
		name, expression, zone string
		after, until           string
		want                   string // local times
	}{
		{"spring, daily", "30 2 * * *", berlin, "2026-03-28T00:00:00+01:00", "2026-03-31T00:00:00+02:00",
			"28 02:30+01:00, 30 02:30+02:00"}, // the 29th has no 2:30
		{"spring, daily beside it", "0 3 * * *", berlin, "2026-03-28T00:00:00+01:00", "2026-03-31T00:00:00+02:00",
			"28 03:00+01:00, 29 03:00+02:00, 30 03:00+02:00"},
		{"spring, hourly", "@hourly", berlin, "2026-03-29T00:30:00+01:00", "2026-03-29T05:00:00+02:00",
			"29 01:00+01:00, 29 03:00+02:00, 29 04:00+02:00, 29 05:00+02:00"},
		{"spring, every quarter", "*/15 * * * *", berlin, "2026-03-29T01:30:00+01:00", "2026-03-29T03:15:00+02:00",
			"29 01:45+01:00, 29 03:00+02:00, 29 03:15+02:00"},
		{"autumn, daily", "30 2 * * *", berlin, "2026-10-24T00:00:00+02:00", "2026-10-27T00:00:00+01:00",
			"24 02:30+02:00, 25 02:30+02:00, 25 02:30+01:00, 26 02:30+01:00"}, // the 25th has it twice
		{"autumn, daily beside it", "0 3 * * *", berlin, "2026-10-24T00:00:00+02:00", "2026-10-27T00:00:00+01:00",
			"24 03:00+02:00, 25 03:00+01:00, 26 03:00+01:00"},
		{"autumn, hourly", "@hourly", berlin, "2026-10-25T00:30:00+02:00", "2026-10-25T03:00:00+01:00",
			"25 01:00+02:00, 25 02:00+02:00, 25 02:00+01:00, 25 03:00+01:00"},
		{"autumn, every quarter", "*/15 * * * *", berlin, "2026-10-25T02:30:00+02:00", "2026-10-25T02:15:00+01:00",
			"25 02:45+02:00, 25 02:00+01:00, 25 02:15+01:00"},

		{"spring, daily", "30 2 * * *", newYork, "2026-03-07T00:00:00-05:00", "2026-03-10T00:00:00-04:00",
			"7 02:30-05:00, 9 02:30-04:00"},
		{"spring, hourly", "@hourly", newYork, "2026-03-08T00:30:00-05:00", "2026-03-08T04:00:00-04:00",
			"8 01:00-05:00, 8 03:00-04:00, 8 04:00-04:00"},
		{"spring, every quarter", "*/15 * * * *", newYork, "2026-03-08T01:30:00-05:00", "2026-03-08T03:15:00-04:00",
			"8 01:45-05:00, 8 03:00-04:00, 8 03:15-04:00"},
		{"autumn, daily, which is not the hour there", "30 2 * * *", newYork, "2026-10-31T00:00:00-04:00", "2026-11-03T00:00:00-05:00",
			"31 02:30-04:00, 1 02:30-05:00, 2 02:30-05:00"},
		{"autumn, daily", "30 1 * * *", newYork, "2026-10-31T00:00:00-04:00", "2026-11-03T00:00:00-05:00",
			"31 01:30-04:00, 1 01:30-04:00, 1 01:30-05:00, 2 01:30-05:00"},
		{"autumn, hourly", "@hourly", newYork, "2026-11-01T00:30:00-04:00", "2026-11-01T02:00:00-05:00",
			"1 01:00-04:00, 1 01:00-05:00, 1 02:00-05:00"},
		{"autumn, every quarter", "*/15 * * * *", newYork, "2026-11-01T01:30:00-04:00", "2026-11-01T01:15:00-05:00",
			"1 01:45-04:00, 1 01:00-05:00, 1 01:15-05:00"},

		{"no midnight", "@daily", "America/Santiago", "2026-09-05T00:00:00-04:00", "2026-09-08T00:00:00-03:00",
			"7 00:00-03:00, 8 00:00-03:00"},
		{"every knows no zone", "@every 30m", berlin, "2026-03-29T01:00:00+01:00", "2026-03-29T03:30:00+02:00",
			"29 01:30+01:00, 29 03:00+02:00, 29 03:30+02:00"},
	} {
		t.Run(tt.zone+", "+tt.name, func(t *testing.T) {
			ticks, more := parse(t, tt.expression, tt.zone).Newest(at(t, tt.after), at(t, tt.until), 100)
			var local []string
			for _, tick := range ticks {
				local = append(local, tick.Format("2 15:04Z07:00"))
			}
			if got := strings.Join(local, ", "); got != tt.want || more {
				t.Errorf("%q ticks at\n  %s, want\n  %s", tt.expression, got, tt.want)
			}
		})
	}
}

// Whatever the clocks do, hourly ticks are an hour apart, and no instant comes twice.
func TestHourlyIsEveryHourOfTheYear(t *testing.T) {
	zones := []string{"Europe/Berlin", "", "America/New_York", "America/Santiago", "Asia/Tokyo"}
	if testing.Short() {
		zones = zones[:1]
	}
	for _, zone := range zones {
		e := parse(t, "@hourly", zone)
		from, until := at(t, "2026-01-01T00:00:00Z"), at(t, "2027-01-01T00:00:00Z")
		ticks, _ := e.Newest(from, until, 10_000)
		if len(ticks) != 365*24 {
			t.Errorf("%q: %d ticks in a year of %d hours", zone, len(ticks), 365*24)
		}
		if !slices.IsSortedFunc(ticks, time.Time.Compare) {
			t.Errorf("%q: they are not in order", zone)
		}
	}
}
