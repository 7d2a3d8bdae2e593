package main

import (
	"bytes"
	"image/png"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
)

// drawn returns the chart as SVG.
func drawn(t *testing.T, c chart) string {
	t.Helper()
	svg, err := c.draw("svg")
	if err != nil {
		t.Fatal(err)
	}
	return string(svg)
}

func shows(t *testing.T, svg string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(svg, ">"+text+"</text>") {
			t.Errorf("the chart does not say %q", text)
		}
	}
}

func TestRatesAreBars(t *testing.T) {
	got, _ := parsed(t, some).of(race)
	c := chartOf(race, got)
	if len(c.rows) != 2 {
		t.Fatalf("the chart has the rows %+v, want those of the two sides that ran", c.rows)
	}
	svg := drawn(t, c)
	shows(t, svg, "A race", "tasks per second", "Fast", "Slow", "1,000", "300", "4,000")
	if strings.Contains(svg, "Absent") {
		t.Error("a side that has no values has a bar")
	}
	if !strings.Contains(svg, "sans-serif") {
		t.Error("the text has no font for machines without the one it was laid out with")
	}
}

func TestLatenciesArePoints(t *testing.T) {
	p := plan{name: "lateness", title: "T", axis: "milliseconds", log: true, units: latencies, sides: []side{{"tasktier", "Ours", 1}, {"asynq", "Early", 1}}}
	got, _ := parsed(t, `run: lateness tasktier 1
BenchmarkLateness/tasktier-2 100 2.1 ms-p50 53 ms-p99 777 ms-max
run: lateness asynq 1
BenchmarkLateness/asynq-2 100 -474 ms-p50 14 ms-p99 66 ms-max
`).of(p)
	c := chartOf(p, got)
	if !c.rows[0].own || c.rows[1].own {
		t.Error("ours is not told from theirs")
	}
	svg := drawn(t, c)
	shows(t, svg, "p50", "p99", "2.1", "53", "« 474 too early", "14", "10")
	if strings.Contains(svg, ">777<") {
		t.Error("the latest of all is drawn")
	}
}

func TestEveryPlanIsDrawnWhateverItHasShown(t *testing.T) {
	for _, p := range plans {
		for _, values := range []string{"0", "0.0004", "-3", "1000000"} {
			var text strings.Builder
			for _, s := range p.sides {
				text.WriteString("run: " + p.name + " " + s.name + " 1\nBenchmark 1")
				for _, u := range p.units {
					text.WriteString(" " + values + " " + u.name)
				}
				text.WriteString("\n")
			}
			got, _ := parsed(t, text.String()).of(p)
			drawn(t, chartOf(p, got))
		}
		if _, err := chartOf(p, results{}).draw("svg"); err == nil {
			t.Error("nothing was drawn")
		}
	}
}

func TestPictureHasItsSize(t *testing.T) {
	got, _ := parsed(t, some).of(race)
	data, err := chartOf(race, got).draw("png")
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if width := picture.Bounds().Dx(); width < int(chartWidth.Dots(vg.Inch.Points())) {
		t.Errorf("it is %d pixels wide", width)
	}
}
