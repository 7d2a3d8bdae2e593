package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/middleware/metrics"
	"github.com/tasktier/tasktier/task"
)

func TestEveryAttemptIsMeasured(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := metrics.New(reg)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	boom := errors.New("boom")

	run := func(ctx context.Context, typ string, answer error, panics bool) {
		defer func() {
			if r := recover(); (r != nil) != panics {
				t.Errorf("the panic became %v", r)
			}
		}()
		err := m(func(context.Context, *task.Task) error {
			if got := read(t, reg)["running mail "+typ]; got != 1 {
				t.Errorf("%v running of %s while one is", got, typ)
			}
			if panics {
				panic(boom)
			}
			return answer
		})(ctx, &task.Task{Queue: "mail", Type: typ})
		if err != answer {
			t.Errorf("the answer %v became %v", answer, err)
		}
	}
	run(t.Context(), "a", nil, false)
	run(t.Context(), "a", nil, false)
	run(t.Context(), "a", boom, false)
	run(t.Context(), "a", nil, true)
	run(t.Context(), "b", task.Permanent(boom), false)
	run(t.Context(), "b", task.Snooze(1), false)
	run(canceled, "b", boom, false)

	want := map[string]float64{
		"duration mail a succeeded": 2, "duration mail a failed": 2,
		"duration mail b permanent": 1, "duration mail b snoozed": 1, "duration mail b canceled": 1,
		"running mail a": 0, "running mail b": 0,
	}
	if got := read(t, reg); !maps.Equal(got, want) {
		t.Errorf("measured %v, want %v", got, want)
	}
}

func TestASecondNodeSharesTheMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	for range 2 {
		m := metrics.New(reg)
		var h consumer.Handler = func(context.Context, *task.Task) error { return nil }
		if err := m(h)(t.Context(), &task.Task{Queue: "q", Type: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, reg)["duration q t succeeded"]; got != 2 {
		t.Errorf("counted %v attempts of 2", got)
	}
}

func TestForeignMetricsOfTheSameNameStopTheProgram(t *testing.T) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "tasktier_handler_running"}))
	defer func() {
		if err, _ := recover().(error); err == nil || !strings.HasPrefix(err.Error(), "register handler metrics: ") {
			t.Errorf("New panicked with %v", err)
		}
	}()
	metrics.New(reg)
}

// read returns counts of histograms and values of gauges by name and labels, shortened.
func read(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			switch f.GetName() {
			case "tasktier_handler_running":
				got[fmt.Sprint("running ", labels["queue"], " ", labels["type"])] = m.GetGauge().GetValue()
			case "tasktier_handler_duration_seconds":
				key := fmt.Sprint("duration ", labels["queue"], " ", labels["type"], " ", labels["outcome"])
				got[key] = float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return got
}
