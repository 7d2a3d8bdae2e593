package nemesis_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tasktier/tasktier/test/nemesis"
)

// menu is faults that do nothing: of four nodes, three kinds each, and of three servers, two each.
func menu() []nemesis.Fault {
	var faults []nemesis.Fault
	add := func(class nemesis.Class, target, name string, least, most time.Duration) {
		faults = append(faults, nemesis.Fault{Name: name, Target: target, Class: class, Lasts: nemesis.Between(least, most)})
	}
	for n := range 4 {
		for _, name := range []string{"killed", "paused", "stopped"} {
			add(nemesis.Node, fmt.Sprintf("node-%d", n+1), name, time.Second, 9*time.Second)
		}
	}
	for _, server := range []nemesis.Class{nemesis.Kafka, nemesis.Redis, nemesis.Etcd} {
		add(server, string(server), "killed", time.Second, 5*time.Second)
		add(server, string(server), "away", 30*time.Second, 30*time.Second)
	}
	return faults
}

var limits = nemesis.Limits{
	AtOnce:   3,
	PerClass: map[nemesis.Class]int{nemesis.Node: 2, nemesis.Redis: 1},
	Spread:   4 * time.Second,
	Calm:     nemesis.Between(time.Second, 3*time.Second),
	Longest:  10 * time.Second,
}

func plan(t *testing.T, seed uint64, about time.Duration, limits nemesis.Limits) nemesis.Plan {
	t.Helper()
	p, err := nemesis.Make(seed, about, menu(), limits)
	must(t, err)
	return p
}

func TestSameSeedSamePlan(t *testing.T) {
	one, again, other := plan(t, 7, time.Hour, limits), plan(t, 7, time.Hour, limits), plan(t, 8, time.Hour, limits)
	if one.String() != again.String() {
		t.Errorf("one seed made two plans:\n%s\n%s", one, again)
	}
	if one.String() == other.String() {
		t.Error("two seeds made one plan")
	}
}

// TestPlanOfASeedStays holds a plan: a seed that is in a report has to make it in later versions too, or whoever repeats a
// run has to know.
func TestPlanOfASeedStays(t *testing.T) {
	const want = `plan of seed 1: 6 faults in 2 rounds, 28.962s
    1     666ms  for 2.496s   node     node-2 paused
    1    2.166s  for 10s      redis    redis away
    1    3.866s  for 2.032s   node     node-3 stopped
    2   15.065s  for 2.625s   kafka    kafka killed
    2   15.785s  for 2.772s   node     node-2 stopped
    2   17.222s  for 10s      etcd     etcd away
`
	if got := plan(t, 1, 20*time.Second, limits).String(); got != want {
		t.Errorf("the plan is\n%s, want\n%s", got, want)
	}
}

func TestPlanKeepsItsLimits(t *testing.T) {
	for seed := range uint64(50) {
		p := plan(t, seed, 10*time.Minute, limits)
		overlaps := false
		for i, r := range p.Rounds {
			if n := len(r.Steps); n < 1 || n > limits.AtOnce {
				t.Errorf("seed %d, round %d: %d faults", seed, i+1, n)
			}
			if r.Calm < limits.Calm.Least || r.Calm > limits.Calm.Most {
				t.Errorf("seed %d, round %d: calm for %s", seed, i+1, r.Calm)
			}
			targets, classes := make(map[string]int), make(map[nemesis.Class]int)
			for j, s := range r.Steps {
				targets[s.Fault.Target]++
				classes[s.Fault.Class]++
				if s.After < 0 || s.After > limits.Spread || s.Lasts > limits.Longest || s.Lasts < min(s.Fault.Lasts.Least, limits.Longest) {
					t.Errorf("seed %d, round %d: %s after %s for %s", seed, i+1, s.Fault, s.After, s.Lasts)
				}
				overlaps = overlaps || j > 0 && s.After < r.Steps[j-1].After+r.Steps[j-1].Lasts
			}
			for target, n := range targets {
				if n > 1 {
					t.Errorf("seed %d, round %d: %s is hit twice", seed, i+1, target)
				}
			}
			for class, most := range limits.PerClass {
				if classes[class] > most {
					t.Errorf("seed %d, round %d: %d faults of %s", seed, i+1, classes[class], class)
				}
			}
		}
		if !overlaps {
			t.Errorf("seed %d: no two faults overlap", seed)
		}
		if d := p.Lasts(); d < 10*time.Minute || d > 11*time.Minute {
			t.Errorf("seed %d: the plan takes %s", seed, d)
		}
	}
}

func TestPlanHasAllOfTheMenu(t *testing.T) {
	counts := make(map[string]int)
	for _, r := range plan(t, 3, 20*time.Minute, limits).Rounds {
		for _, s := range r.Steps {
			counts[s.Fault.String()]++
		}
	}
	least, most := 1<<30, 0
	for _, f := range menu() {
		least, most = min(least, counts[f.String()]), max(most, counts[f.String()])
	}
	if least == 0 || most > least+3 {
		t.Errorf("of a long plan some faults happen %d times and others %d", least, most)
	}
}

func TestPlanOfNothing(t *testing.T) {
	for name, make := range map[string]func() error{
		"no menu":   func() error { _, err := nemesis.Make(1, time.Minute, nil, limits); return err },
		"no limits": func() error { _, err := nemesis.Make(1, time.Minute, menu(), nemesis.Limits{}); return err },
		"no room": func() error {
			none := map[nemesis.Class]int{nemesis.Node: 0, nemesis.Redis: 0, nemesis.Kafka: 0, nemesis.Etcd: 0}
			_, err := nemesis.Make(1, time.Minute, menu(), nemesis.Limits{AtOnce: 1, PerClass: none})
			return err
		},
	} {
		if make() == nil {
			t.Errorf("with %s there was a plan", name)
		}
	}
}
