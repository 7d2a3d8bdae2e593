package soak

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// A vital is something that must not grow.
type vital struct {
	name  string
	unit  float64 // of the table
	share float64 // of what it is early, by which it may grow
	slack float64 // and beside that
	per   float64 // and for each minute
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// The vitals, in the order of a sample.
var vitals = []vital{
	{"heap KiB", kib, 0.1, 2 * mib, 0}, // a batch of records more or less
	{"goroutines", 1, 0, 10, 0},
	{"files", 1, 0, 20, 0}, // connections come and go
	{"old claims", 1, 0, 50, 0},
	{"details", 1, 1, 200, 0},  // on a busy machine the rate is not quite steady
	{"counters", 1, 0, 16, 16}, // a key per bucket and minute
	{"other keys", 1, 0, 5, 0},
	{"redis KiB", kib, 0, mib, 32 * kib}, // of counters
	{"etcd keys", 1, 0, 5, 0},
	{"etcd KiB", kib, 0.3, 2 * mib, 0},
}

// A sample is the vitals at a time.
type sample struct {
	at     time.Duration
	values [10]float64
}

// A part of the time, as fractions of it.
type part struct{ from, to float64 }

var (
	early = part{0.40, 0.55}
	late  = part{0.85, 1}
)

// least is the least of each vital within a part.
func least(samples []sample, total time.Duration, p part) (values [10]float64, n int) {
	for _, s := range samples {
		if at := float64(s.at) / float64(total); at < p.from || at > p.to {
			continue
		}
		for i, v := range s.values {
			if n == 0 || v < values[i] {
				values[i] = v
			}
		}
		n++
	}
	return values, n
}

// grown compares the parts and says what has grown too far. The table goes to w.
func grown(w io.Writer, samples []sample, total time.Duration) (faults []string) {
	before, n := least(samples, total, early)
	after, m := least(samples, total, late)
	if n < 3 || m < 3 {
		return []string{fmt.Sprintf("%d samples early and %d late are too few", n, m)}
	}
	minutes := (late.to - early.from) * total.Minutes()
	fmt.Fprintf(w, "%-12s %12s %12s %12s\n", "", "early", "late", "at most")
	for i, v := range vitals {
		most := before[i]*(1+v.share) + v.slack + v.per*minutes
		fmt.Fprintf(w, "%-12s %12.0f %12.0f %12.0f\n", v.name, before[i]/v.unit, after[i]/v.unit, most/v.unit)
		if after[i] > most {
			faults = append(faults, fmt.Sprintf("%s grew from %.0f to %.0f, %.0f are allowed", v.name, before[i]/v.unit, after[i]/v.unit, most/v.unit))
		}
	}
	return faults
}

func TestGrown(t *testing.T) {
	const total = 100 * time.Second
	series := func(value func(at, vital int) float64) (samples []sample) {
		for at := range 101 {
			s := sample{at: time.Duration(at) * time.Second}
			for i := range s.values {
				s.values[i] = value(at, i)
			}
			samples = append(samples, s)
		}
		return samples
	}
	base := func(i int) float64 { return 100_000 * vitals[i].unit }
	if faults := grown(io.Discard, series(func(_, i int) float64 { return base(i) }), total); faults != nil {
		t.Errorf("what is flat: %q", faults)
	}
	peaks := func(at, i int) float64 { // now and then it is much more
		if at%5 != 0 {
			return base(i) * 10
		}
		return base(i)
	}
	if faults := grown(io.Discard, series(peaks), total); faults != nil {
		t.Errorf("what has peaks: %q", faults)
	}
	for i, v := range vitals {
		grows := func(at, j int) float64 {
			if i == j {
				return base(i) * (1 + float64(at*at)/200)
			}
			return base(j)
		}
		if faults := grown(io.Discard, series(grows), total); len(faults) != 1 || !strings.HasPrefix(faults[0], v.name) {
			t.Errorf("%s grows: %q", v.name, faults)
		}
	}
	if faults := grown(io.Discard, series(func(_, i int) float64 { return base(i) })[:50], total); len(faults) != 1 {
		t.Errorf("half of the time: %q", faults)
	}
}
