package schedule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/schedule/cron"
)

// Times are seconds before now; what a test wants is written the same way, the oldest tick first.
func TestTicksDue(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name    string
		cron    string
		missed  Missed
		settled int // seconds ago
		send    string
		dropped string
	}{
		{"the tick of this moment", "@every 30s", Skip, 30, "0", "none"},
		{"nothing", "@every 30s", Skip, 0, "", "none"},
		{"a change of leaders", "@every 10s", Skip, 60, "50 40 30 20 10 0", "none"},
		{"the last moment of grace", "@every 30s", Skip, 90, "60 30 0", "none"},
		{"past it, skip", "@every 30s", Skip, 120, "60 30 0", "90"},
		{"past it, nothing said", "@every 30s", "", 120, "60 30 0", "90"},
		{"past it, once", "@every 30s", Once, 180, "90 60 30 0", "120"},
		{"past it, once, and there was only one", "@every 30s", Once, 120, "90 60 30 0", "none"},
		{"past it, all", "@every 30s", All, 180, "150 120 90 60 30 0", "none"},
		{"all of it missed, skip", "@every 1h", Skip, 3*3600 + 1, "0", "3600"},
		{"all of it missed, once", "@every 1h", Once, 3*3600 + 1, "3600 0", "7200"},
		{"all of it missed, all", "@every 1h", All, 3*3600 + 1, "10800 7200 3600 0", "none"},
		{"daily, late by five minutes, skip", "55 11 * * *", Skip, 86_000, "", "300"},
		{"daily, late by five minutes, once", "55 11 * * *", Once, 86_000, "300", "none"},
		{"daily, late by a minute", "59 11 * * *", Skip, 86_000, "60", "none"},
		{"the clock was set back an hour", "@every 1s", All, -3600, "", "none"},
		{"settled in the middle of the grace", "@every 1s", All, 3, "2 1 0", "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := cron.Parse(tt.cron, "")
			if err != nil {
				t.Fatal(err)
			}
			ago := func(tick time.Time) string { return fmt.Sprint(int(now.Sub(tick).Seconds())) }
			d := ticksDue(e, tt.missed, now.Add(-time.Duration(tt.settled)*time.Second), now)
			var send []string
			for _, tick := range d.send {
				send = append(send, ago(tick))
			}
			dropped := "none"
			if !d.dropped.IsZero() {
				dropped = ago(d.dropped)
			}
			if got := strings.Join(send, " "); got != tt.send || dropped != tt.dropped {
				t.Errorf("sends %q and drops up to %s; want %q and %s", got, dropped, tt.send, tt.dropped)
			}
		})
	}
}

// However long nobody led, the work is bounded, and what is made up for are the newest ticks.
func TestTicksDueAreBounded(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	e, err := cron.Parse("* * * * * *", "Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for m, want := range map[Missed]int{Skip: 61, Once: 62, All: CatchUp + 61} {
		d := ticksDue(e, m, now.AddDate(-20, 0, 0), now)
		if len(d.send) != want || !d.send[want-1].Equal(now) || !d.send[0].Equal(now.Add(-time.Duration(want-1)*time.Second)) {
			t.Errorf("%s: %d ticks from %s, want the newest %d", m, len(d.send), d.send[0], want)
		}
		if !d.dropped.Equal(d.send[0].Add(-time.Second)) {
			t.Errorf("%s: dropped up to %s, sent from %s", m, d.dropped, d.send[0])
		}
	}
}

func TestTaskOfATick(t *testing.T) {
	e := Entry{Name: "nightly", Type: "report.make", Data: []byte(`{"a":1}`)}
	zone, err := cron.Zone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	first := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC).In(zone) // 2:30 in summer
	for tick, id := range map[time.Time]string{first: "nightly@2026-10-25T00:30:00Z", first.Add(time.Hour): "nightly@2026-10-25T01:30:00Z"} {
		got := e.Task("mail", tick)
		if got.ID != id || got.Source != Source || got.Queue != "mail" || got.Type != "report.make" ||
			string(got.Payload) != `{"a":1}` || got.ContentType != "application/json" || !got.Time.Equal(tick) {
			t.Errorf("the task of %s is %+v", tick, got)
		}
		if err := got.Validate(); err != nil {
			t.Error(err)
		}
	}
	if one, other := e.Extra("mail"), e.Extra("mail"); one.ID == other.ID || strings.Contains(one.ID, "@") || one.Source != Source {
		t.Errorf("tasks beside the ticks: %+v, %+v", one, other)
	}
	if bare := (Entry{Name: "n", Type: "t"}).Task("mail", first); bare.Payload != nil || bare.ContentType != "" {
		t.Errorf("without data: %+v", bare)
	}
}
