package storm

import (
	"context"
	"errors"
	"time"

	"github.com/tasktier/tasktier/test/nemesis"
)

// A scenario is a short storm that reveals some defects, each within seconds, and which the product weathers.
type scenario struct {
	kind   string // of the stage
	rate   float64
	mix    mixture
	script func(scene) nemesis.Plan
	// reveals are the defects, by name.
	reveals []string
}

// After says when a step of a script begins, within its round.
func after(d time.Duration, f nemesis.Fault, lasts time.Duration) nemesis.Step {
	return nemesis.Step{After: d, Fault: f, Lasts: lasts}
}

// one is a script of one round.
func one(calm time.Duration, steps ...nemesis.Step) nemesis.Plan {
	return nemesis.Plan{Rounds: []nemesis.Round{{Steps: steps, Calm: calm}}}
}

// scenarios by name.
var scenarios = map[string]scenario{
	"kills": {
		kind: inOneFolder, rate: 80,
		mix: mixture{
			Kinds: []share{
				{"quick", 40}, {"flaky", 25}, {"long", 10}, {"broken", 2}, {"mended", 8}, {"delayed", 10}, {"line", 10}, {"flaky line", 2},
				{"locked", 3}, {"scarce", 10},
			},
			Again: 5, Canceled: 12,
		},
		script: func(on scene) nemesis.Plan {
			return one(3*time.Second,
				after(1*time.Second, nemesis.Killed(on.nodes[0], short), 2*time.Second),
				after(4*time.Second, nemesis.Killed(on.replayer, short), time.Second),
				after(7*time.Second, nemesis.Killed(on.nodes[1], short), 2*time.Second),
				after(8*time.Second, nemesis.Killed(on.replayer, short), time.Second),
			)
		},
		reveals: []string{
			"offset before the handler", "the highest completed offset is committed", "a task that is done runs again",
			"an earlier turn runs again", "the fence does not grow", "a crash counts as an attempt", "a cancellation is not written",
			"a copy loses the end of its payload", "forward without due check", "ordering keys are ignored", "a slot is handed out twice",
			"tombstone before acknowledgement",
		},
	},
	// Slots are full, so there is work in memory when nodes stop and start.
	"restarts": {
		kind: inOneFolder, rate: 60,
		mix: mixture{Kinds: []share{{"quick", 50}, {"slow", 40}, {"flaky", 5}}},
		script: func(on scene) nemesis.Plan {
			return one(2*time.Second,
				after(2*time.Second, nemesis.Stopped(on.nodes[0], short), time.Second),
				after(6*time.Second, nemesis.Stopped(on.nodes[1], short), time.Second),
			)
		},
		reveals: []string{"steal without liveness check", "commit on lost"},
	},
	"pauses": {
		kind: inOneFolder, rate: 60,
		mix: mixture{Kinds: []share{{"quick", 70}, {"slow", 10}, {"deaf", 20}}},
		script: func(on scene) nemesis.Plan {
			// So long that others have done what it ran when it goes on.
			return one(2*time.Second, after(4*time.Second, nemesis.Paused(on.nodes[0], long), leaseTTL+14*time.Second))
		},
		reveals: []string{"finish without compare-and-set", "handlers outlive their session"},
	},
	"massacres": {
		kind: inOneFolder, rate: 20,
		mix: mixture{Kinds: []share{{"quick", 50}, {"slow", 50}}},
		script: func(on scene) nemesis.Plan {
			var plan nemesis.Plan
			for range 3 {
				var r nemesis.Round
				for _, v := range on.nodes {
					r.Steps = append(r.Steps, after(0, nemesis.Killed(v, short), time.Second))
				}
				r.Calm = leaseTTL + 5*time.Second
				plan.Rounds = append(plan.Rounds, r)
			}
			return plan
		},
		reveals: []string{"innocents are poison"},
	},
	"a narrow way to kafka": {
		kind: single, rate: 120,
		mix: mixture{Kinds: []share{{"quick", 20}, {"flaky", 40}, {"broken", 20}, {"delayed", 30}}},
		script: func(on scene) nemesis.Plan {
			return one(2*time.Second,
				after(time.Second, diesBehind(on, 0, nemesis.Kafka, func(p *nemesis.Proxy) { p.Throttle(3000) }), 6*time.Second),
			)
		},
		reveals: []string{"progress of a tier passes what is not acknowledged"},
	},
	"a slow way to kafka": {
		kind: single, rate: 120,
		mix: mixture{Kinds: []share{{"quick", 20}, {"flaky", 40}, {"broken", 30}}},
		script: func(on scene) nemesis.Plan {
			return one(2*time.Second,
				after(time.Second, diesBehind(on, 0, nemesis.Kafka, func(p *nemesis.Proxy) { p.Delay(1500*time.Millisecond, 0) }), 5*time.Second),
			)
		},
		reveals: []string{"retry not awaited", "letter not awaited"},
	},
	"without redis": {
		kind: single, rate: 60,
		mix: mixture{Kinds: []share{{"quick", 60}, {"long", 40}}},
		script: func(on scene) nemesis.Plan {
			return one(2*time.Second,
				after(time.Second, diesBehind(on, 0, nemesis.Redis, (*nemesis.Proxy).Hang), 4*time.Second),
			)
		},
		reveals: []string{"offset before the finish"},
	},
	"without etcd": {
		kind: single, rate: 16,
		// Others know of what the node runs: it was sent twice.
		mix: mixture{Kinds: []share{{"quick", 50}, {"deafest", 50}}, Again: 100},
		script: func(on scene) nemesis.Plan {
			return one(2*time.Second, after(4*time.Second, way(on, 0, nemesis.Etcd).Cut(long), leaseTTL+8*time.Second))
		},
		reveals: []string{"a lost result completes its offset"},
	},
}

// way is that of a node to a service.
func way(on scene, node int, to nemesis.Class) *nemesis.Route {
	for _, r := range on.stage.routes {
		if r.To == to && r.Name == nodeName(node)+" to "+string(to) {
			return r
		}
	}
	panic("there is no such way") // scenarios are of stages that have it
}

// diesBehind has the way of a node to a service troubled, and then the node killed, with all that was on the way.
func diesBehind(on scene, node int, to nemesis.Class, trouble func(*nemesis.Proxy)) nemesis.Fault {
	r, v := way(on, node, to), on.nodes[node]
	f := r.Cut(long)
	f.Name = "troubled, and its node killed"
	f.Hit = func(context.Context) (nemesis.Wound, error) {
		for _, p := range r.Proxies {
			trouble(p)
		}
		return nemesis.Wound{Mend: func(context.Context) error {
			for _, p := range r.Proxies {
				p.Cut()
			}
			killed := v.Process.Kill()
			for _, p := range r.Proxies {
				p.Heal()
			}
			return errors.Join(killed, v.Process.Start())
		}}, nil
	}
	return f
}
