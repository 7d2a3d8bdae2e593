package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/tasktier/tasktier/task"
)

func TestSleepTakesItsTime(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := sleep(t.Context(), task.New("demo.sleep", []byte(`{"ms":1500}`))); err != nil || time.Since(began) != 1500*time.Millisecond {
			t.Errorf("%v after %v, want success after 1.5s", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := sleep(ctx, task.New("demo.sleep", []byte(`{"ms":1500}`))); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the end of its context", err)
		}
	})
}

func TestSleepRefusesNonsense(t *testing.T) {
	for _, payload := range []string{`{"ms":-1}`, `{"ms":9223372036854775807}`, `{"ms":"long"}`, `no JSON`} {
		var permanent *task.PermanentError
		if err := sleep(t.Context(), task.New("demo.sleep", []byte(payload))); !errors.As(err, &permanent) {
			t.Errorf("%s: %v, want a permanent failure", payload, err)
		}
	}
}

func TestFailFailsTheAttemptsItWasToldTo(t *testing.T) {
	job := task.New("demo.fail", []byte(`{"times":2}`))
	for attempt, fails := range map[int]bool{1: true, 2: true, 3: false} {
		job.Attempt = attempt
		if err := failAtFirst(t.Context(), job); (err != nil) != fails {
			t.Errorf("attempt %d: %v, fails should be %v", attempt, err, fails)
		}
	}
}

func TestDemosLeaveConfiguredTypesAlone(t *testing.T) {
	mux := consumer.NewMux()
	if err := handleDemos(mux, func(typ string) bool { return typ == "demo.echo" }); err != nil {
		t.Fatal(err)
	}
	for _, typ := range mux.Types() {
		if typ == "demo.echo" {
			t.Error("demo.echo has a handler of ours")
		}
	}
	if len(mux.Types()) != 3 {
		t.Errorf("types %v", mux.Types())
	}
}

func TestDemoFailHasNoBreaker(t *testing.T) {
	own := config.Type{Breaker: &config.Breaker{Enabled: true}}
	for name, c := range map[string]struct {
		types map[string]config.Type
		want  bool
	}{
		"no types": {nil, false},
		"no word":  {map[string]config.Type{"demo.fail": {Limit: 3}, "x": {}}, false},
		"said so":  {map[string]config.Type{"demo.fail": own}, true},
	} {
		got := withoutBreaker(c.types, "demo.fail")
		if b := got["demo.fail"].Breaker; b == nil || b.Enabled != c.want {
			t.Errorf("%s: %+v", name, b)
		}
		if was := c.types["demo.fail"]; c.types != nil && !c.want && was.Breaker != nil {
			t.Errorf("%s: the caller's types were changed", name)
		}
	}
}
