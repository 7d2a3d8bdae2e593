package cron

import (
	"errors"
	"fmt"
	"strings"
	"time"

	robfig "github.com/robfig/cron/v3"
)

// An Expression is a cron expression in its zone. It never changes, and is safe for concurrent use.
type Expression struct {
	zone *time.Location
	next func(time.Time) time.Time // the first tick after a time in zone; zero if there is none
}

var parser = robfig.NewParser(robfig.SecondOptional | robfig.Minute | robfig.Hour | robfig.Dom | robfig.Month | robfig.Dow | robfig.Descriptor)

const every = "@every "

// Parse reads an expression for a zone, which is [Zone]'s to explain. One that never ticks is refused.
func Parse(expression, zone string) (Expression, error) {
	loc, err := Zone(zone)
	if err != nil {
		return Expression{}, err
	}
	text := strings.TrimSpace(expression)
	switch {
	case text == "":
		return Expression{}, errors.New("read cron expression: it is empty")
	case strings.HasPrefix(text, "TZ="), strings.HasPrefix(text, "CRON_TZ="):
		return Expression{}, fmt.Errorf("read cron expression %q: it names a zone; that goes beside it (zone)", expression)
	case strings.HasPrefix(text, every):
		period, err := parsePeriod(strings.TrimPrefix(text, every))
		if err != nil {
			return Expression{}, fmt.Errorf("read cron expression %q: %w", expression, err)
		}
		return Expression{zone: loc, next: period.next}, nil
	}
	spec, err := parser.Parse(text)
	if err != nil {
		return Expression{}, fmt.Errorf("read cron expression %q: %w", expression, err)
	}
	e := Expression{zone: loc, next: spec.Next}
	// The parser takes a field of nothing but commas, and then looks at each second of five years.
	if s, ok := spec.(*robfig.SpecSchedule); ok && (s.Second == 0 || s.Minute == 0 || s.Hour == 0 || s.Dom == 0 || s.Month == 0 || s.Dow == 0) {
		return Expression{}, fmt.Errorf("read cron expression %q: it never ticks: a field is empty", expression)
	}
	if e.Next(someLeapYear).IsZero() {
		return Expression{}, fmt.Errorf("read cron expression %q: it never ticks: no date is like that", expression)
	}
	return e, nil
}

// someLeapYear is before a 29th of February that every search finds.
var someLeapYear = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// Zone finds a time zone by its IANA name, as in Europe/Berlin. An empty name is UTC. "Local" is refused: it is another
// zone on another machine.
func Zone(name string) (*time.Location, error) {
	if name == "Local" {
		return nil, errors.New(`find time zone "Local": it is another one on each machine; name it, as in Europe/Berlin`)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("find time zone %q: there is none of that name; use one like Europe/Berlin, or none for UTC", name)
	}
	return loc, nil
}

// Next is the first tick after t, on a whole second, in the expression's zone. Zero: there is none within five years.
func (e Expression) Next(t time.Time) time.Time { return e.next(t.In(e.zone)) }

// A period is what @every says.
type period struct{ seconds int64 }

func parsePeriod(s string) (period, error) {
	d, err := time.ParseDuration(strings.TrimSpace(s))
	switch {
	case err != nil:
		return period{}, fmt.Errorf("%q is no duration; write one like 90s, 10m or 24h", s)
	case d < time.Second || d%time.Second != 0:
		return period{}, fmt.Errorf("%s: take whole seconds, at least 1s", d)
	}
	return period{int64(d / time.Second)}, nil
}

func (p period) next(t time.Time) time.Time {
	now := t.Unix()
	into := ((now % p.seconds) + p.seconds) % p.seconds // of the period, also before 1970
	return time.Unix(now-into+p.seconds, 0).In(t.Location())
}
