package tier

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestInvariants(t *testing.T) {
	for name, tr := range map[string]Tier{"minute": Minute, "hour": Hour} {
		if tr.Horizon+tr.OpenFor > time.Duration(tr.Partitions)*tr.Slot {
			t.Errorf("%s: the next lap is written while a slot is open", name)
		}
		if SendTimeout+time.Minute >= tr.OpenFor-tr.Slot {
			t.Errorf("%s: a slow send and a minute of skew miss the slot", name)
		}
	}
	if Hour.Slot+Hour.Lead > Minute.Horizon {
		t.Error("an hour slot does not fit the minute tier")
	}
}

func moment(t *rapid.T, name string) time.Time {
	return time.UnixMilli(rapid.Int64Range(-4e12, 9e12).Draw(t, name))
}

// TestRoute: whatever is due gets a partition that exists, which is open when it is due, unless it is too far ahead.
func TestRoute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := moment(t, "now")
		due := now.Add(time.Duration(rapid.Int64Range(-int64(24*time.Hour), int64(60*time.Hour)).Draw(t, "ahead")))
		place := Route(due, now)
		if place.Wait != due.After(now) {
			t.Fatalf("waits: %v", place.Wait)
		}
		if !place.Wait {
			return
		}
		tr := Minute
		if place.Hour {
			tr = Hour
		}
		if place.Partition < 0 || place.Partition >= tr.Partitions {
			t.Fatalf("partition %d does not exist", place.Partition)
		}
		start := tr.Latest(place.Partition, due)
		if due.Sub(now) <= Hour.Horizon && (due.Before(start) || !due.Before(start.Add(tr.Slot))) {
			t.Fatalf("the slot of %v begins at %v", due, start)
		}
		// The slot in which it waits is not over, and nothing of an earlier lap is open there.
		if opens := start.Add(-tr.Lead); due.Sub(now) <= Hour.Horizon && start.Add(tr.OpenFor).Before(now) {
			t.Fatalf("the slot, open from %v, is closed already", opens)
		}
		if last := tr.Latest(place.Partition, now); last.Before(start) && due.Sub(now) <= Hour.Horizon && now.Before(last.Add(tr.OpenFor)) {
			t.Fatalf("the slot before, of %v, is still open", last)
		}
	})
}

func TestLatest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := moment(t, "now")
		for _, tr := range []Tier{Minute, Hour} {
			p := rapid.Int32Range(0, tr.Partitions-1).Draw(t, "partition")
			start, next := tr.Latest(p, now), tr.Next(p, now)
			if tr.Partition(start) != p || tr.Partition(next) != p {
				t.Fatalf("slots at %v and %v are not of partition %d", start, next, p)
			}
			if start.Add(-tr.Lead).After(now) || !next.Add(-tr.Lead).After(now) {
				t.Fatalf("now is %v: the latest slot is at %v, the next at %v", now, start, next)
			}
		}
	})
}

func TestRouteTable(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		ahead time.Duration
		want  Place
	}{
		{-time.Hour, Place{}},
		{0, Place{}},
		{time.Millisecond, Place{Wait: true, Partition: Minute.Partition(now)}},
		{80 * time.Minute, Place{Wait: true, Partition: Minute.Partition(now.Add(80 * time.Minute))}},
		{80*time.Minute + 1, Place{Wait: true, Hour: true, Partition: Hour.Partition(now.Add(80 * time.Minute))}},
		{46 * time.Hour, Place{Wait: true, Hour: true, Partition: Hour.Partition(now.Add(46 * time.Hour))}},
		{365 * 24 * time.Hour, Place{Wait: true, Hour: true, Partition: Hour.Partition(now.Add(46 * time.Hour))}},
	}
	for _, tt := range tests {
		if got := Route(now.Add(tt.ahead), now); got != tt.want {
			t.Errorf("%v ahead: %+v, want %+v", tt.ahead, got, tt.want)
		}
	}
}
