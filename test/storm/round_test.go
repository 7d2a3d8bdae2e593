package storm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/tasktier/tasktier/test/history"
	"github.com/tasktier/tasktier/test/nemesis"
)

// A round is one storm on one stage.
type round struct {
	kind   string // of the stage
	binary string // of the crew; "": this one
	clocks bool   // the binary's clock can be wrong
	seed   uint64
	lasts  time.Duration // of the faults
	nodes  int
	rate   float64
	mix    mixture
	// longest bounds how long tasks are delayed, and patience how long the system may take to come to rest beyond that.
	longest, patience time.Duration
	// script makes the plan of the nemesis. Nil: one of all the faults there are, by the seed.
	script func(scene) (nemesis.Plan, error)
}

// A scene is what a plan can be made of.
type scene struct {
	stage    *stage
	nodes    []*nemesis.Victim
	replayer *nemesis.Victim
	leader   nemesis.Role
}

const (
	producers = 3
	// warmUp is how long nodes may take until each of them has work, so that there is something to break.
	warmUp = time.Minute
	// restLimit is how long the system may take to come to rest when nothing is broken any more. What waits longest is a task
	// of a node that was killed last, and then of the next one: leases and rebalances, on a busy machine.
	restLimit = 3 * time.Minute
)

// An outcome is what a round leaves behind.
type outcome struct {
	dir    string // with the history
	faults int
	// err is why the round is not as it should be, whatever the history says: it did not come to rest, say.
	err error
}

// run carries the round out. What keeps it from being carried out ends the test.
func (r round) run(t *testing.T) outcome {
	t.Helper()
	dir, err := os.MkdirTemp("", "tasktier-storm-") //nolint:usetesting // it stays when the test has failed
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the history of the round, and the logs of its processes: %s", dir)
		} else {
			must(t, os.RemoveAll(dir))
		}
	})
	events, err := history.Create(dir, "nemesis")
	must(t, err)
	defer func() { must(t, events.Close()) }()
	s := newStage(t, r.kind, r.nodes)
	w, err := watchOver(t.Context(), s, dir, events)
	must(t, err)
	defer func() { must(t, w.close()) }()
	load := load{Seed: r.seed, Start: time.Now().Add(time.Second), Producers: producers, Rate: r.rate, mixture: r.mix, Longest: r.longest}
	c, err := newCrew(s, r.binary, dir, r.clocks, load, events)
	must(t, err)
	defer func() { must(t, c.close()) }()
	o := outcome{dir: dir}
	o.faults, o.err = r.storm(t, s, c, w, events)
	must(t, w.collect(t.Context(), load.Start))
	return o
}

// storm runs the crew while the nemesis is at work, and until all has come to rest.
func (r round) storm(t *testing.T, s *stage, c *crew, w *watch, events *history.Writer) (faults int, err error) {
	ctx := t.Context()
	if err := each(append(c.nodes, c.others()...), (*member).Start); err != nil {
		return 0, err
	}
	if err := w.warm(ctx, c.nodes); err != nil {
		return 0, err
	}
	if faults, err = r.rage(t, s, c, w, events); err != nil {
		return faults, err
	}
	w.healed = time.Now()
	// Nothing is sent any more, and what is due later comes due; what can be mended is replayed meanwhile.
	if err := each(append(c.producers, c.canceler), (*member).Stop); err != nil {
		return faults, err
	}
	calm, enough := context.WithTimeoutCause(ctx, r.patience+r.longest, fmt.Errorf("%s have passed", r.patience+r.longest))
	defer enough()
	resting := w.rest(calm)
	// Whatever it is that does not come to rest, the rest of the crew is to end in order, and the history to be whole.
	if err := c.replayer.Stop(); err != nil {
		return faults, errors.Join(resting, err)
	}
	if resting == nil {
		resting = w.rest(calm)
	}
	return faults, errors.Join(resting, each(c.nodes, (*member).Stop))
}

// rage lets the nemesis work. It returns how many faults there were.
func (r round) rage(t *testing.T, s *stage, c *crew, w *watch, events *history.Writer) (faults int, err error) {
	record := recorder{events: events, nodes: c.nodes}
	on := scene{stage: s, nodes: victims(c.nodes), replayer: victims([]*member{c.replayer})[0]}
	on.leader = leading(w.etcd, w.config.Etcd.Prefix, on.nodes)
	script := r.script
	if script == nil {
		script = r.everything
	}
	plan, err := script(on)
	if err != nil {
		return 0, err
	}
	for _, round := range plan.Rounds {
		for i := range round.Steps {
			round.Steps[i].Fault = record.fault(round.Steps[i].Fault)
		}
	}
	t.Logf("%s: %s", r.kind, plan)
	runner := nemesis.Runner{Tell: func(e nemesis.Event) {
		if e.Phase == nemesis.Begun {
			faults++
		}
		if e.Err != nil {
			t.Logf("%s %s %s: %v", e.Until.Format(time.TimeOnly), e.Fault, e.Phase, e.Err)
		}
	}}
	return faults, runner.Run(t.Context(), plan)
}

// everything is the plan of a storm.
func (r round) everything(on scene) (nemesis.Plan, error) {
	faults := append(nodeFaults(on.nodes, on.replayer, on.leader), on.stage.faults...)
	faults = append(faults, networkFaults(on.stage.routes)...)
	faults = append(faults, clockFaults(on.nodes)...)
	return nemesis.Make(r.seed, r.lasts, faults, allAtOnce(min(r.lasts/2, time.Minute)))
}
