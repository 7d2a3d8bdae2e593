package main

import (
	"strings"
	"testing"
)

// some are two sides in three rounds, of which the slow one failed in the second.
const some = `run: process fast 1
BenchmarkProcess/fast-2 20000 1000 tasks/s 17 allocs/op
run: process slow 1
BenchmarkProcess/slow-2 20000 100 tasks/s 17 allocs/op
run: process fast 2
BenchmarkProcess/fast-2 20000 600 tasks/s 17 allocs/op
run: process slow 2
failed: it was late
run: process fast 3
BenchmarkProcess/fast-2 20000 4000 tasks/s 18 allocs/op
run: process slow 3
BenchmarkProcess/slow-2 20000 500 tasks/s 17 allocs/op
run: latency fast 1
BenchmarkLatency/fast-2 1000 7 tasks/s
`

var race = plan{
	name: "process", title: "A race", axis: "tasks per second",
	sides: []side{{"fast", "Fast", 1}, {"slow", "Slow", 1}, {"absent", "Absent", 1}},
	units: rate, bases: []string{"slow", "absent"},
	steady: []unit{{"allocs/op", "allocations"}, {"absent/op", "absent"}},
}

func parsed(t *testing.T, text string) transcript {
	t.Helper()
	got, err := read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	got, failed := parsed(t, some).of(race)
	want := `|  | tasks/s | × Slow | allocations | absent |
| --- | ---: | ---: | ---: | ---: |
| Fast | **1,000** (600 – 4,000) | 9 | 17 |  |
| Slow | **300** (100 – 500) | 1 | 17 |  |

What failed, and is not in these figures:

- Slow, round 2: it was late
`
	if tables := tables(race, got, failed); tables != want {
		t.Errorf("got\n%swant\n%s", tables, want)
	}
}

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{2: {3, 1, 2}, 2.5: {4, 1, 2, 3}, 7: {7}} {
		if got := median(values); got != want {
			t.Errorf("median of %v is %v, want %v", values, got, want)
		}
	}
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.004083: "0.00408", 1: "1", 1.0449: "1.04", 17: "17", 99.96: "100", 999.7: "1,000", 12345: "12,300",
		517_900: "518,000", 2_000_000: "2,000,000", -474.4: "−474", -12345: "−12,300",
	} {
		if got := number(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}
