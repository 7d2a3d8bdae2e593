package main

import (
	"strings"
	"testing"
)

func TestRatiosAreOfTheSameRound(t *testing.T) {
	got := results{}
	for _, round := range []struct{ fast, slow string }{{"100", "10"}, {"60", "30"}, {"400", "50"}} {
		for side, rate := range map[string]string{"fast": round.fast, "slow": round.slow} {
			output := "goos: linux\nBenchmarkProcess/" + side + "-2 \t 20000\t " + rate + " tasks/s\t 17 allocs/op\nPASS\n"
			if err := got.add(side, output); err != nil {
				t.Fatal(err)
			}
		}
	}
	var out strings.Builder
	got.markdown(&out, plan{
		sides: []side{{"fast", 1}, {"slow", 1}}, units: []string{"tasks/s"}, bases: []string{"slow", "absent"},
		steady: []string{"allocs/op", "absent/op"},
	})
	const want = `|  | tasks/s: min | median | max | × slow | allocs/op | absent/op |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| fast | 60.0 | 100 | 400 | 8.00 | 17.0 |  |
| slow | 10.0 | 30.0 | 50.0 | 1.00 | 17.0 |  |
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestAFailedRunIsNoResult(t *testing.T) {
	for _, output := range []string{"", "goos: linux\nPASS\n", "BenchmarkProcess/asynq-2 \t 20000\t many tasks/s\n", "BenchmarkProcess/asynq-2 \t 1\n"} {
		if err := (results{}).add("asynq", output); err == nil {
			t.Errorf("%q was taken for a result", output)
		}
	}
}

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{2: {3, 1, 2}, 2.5: {4, 1, 2, 3}, 7: {7}} {
		if got := median(values); got != want {
			t.Errorf("median of %v is %v, want %v", values, got, want)
		}
	}
}
