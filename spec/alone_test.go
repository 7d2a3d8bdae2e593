package spec

import "testing"

var crowds = []struct {
	name string
	alone
}{
	{"every run alone", alone{tasks: 2, culprits: 0b1, limit: 1, again: 1}},
	{"limit of two", alone{tasks: 3, culprits: 0b1, limit: 2, again: 1}},
	{"two culprits", alone{tasks: 3, culprits: 0b11, limit: 2, again: 1}},
	{"limit of three", alone{tasks: 3, culprits: 0b1, limit: 3}},
	{"two culprits, limit of three", alone{tasks: 3, culprits: 0b11, limit: 3}},
	{"a lost lease", alone{tasks: 2, culprits: 0b1, limit: 2, lapse: 1, again: 1}},
	{"a drain that handlers outlive", alone{tasks: 2, culprits: 0b1, limit: 2, leave: 1, again: 1}},
	{"lost leases and drains without a culprit", alone{tasks: 2, limit: 2, lapse: 2, leave: 2}},
}

// Poison is who took a process down as often as the limit says, and nobody else.
func TestInnocentsAreNeverPoison(t *testing.T) {
	for _, c := range crowds {
		t.Run(c.name, func(t *testing.T) {
			if c.culprits == 0 && testing.Short() {
				t.Skip("its mix has more states than all others together: ./check long runs it")
			}
			got := explore(&c.alone)
			if got.violation != "" {
				t.Error(got)
			}
			t.Log(got.states, "states")
		})
	}
}

func TestPlantedDefectsOfBlame(t *testing.T) {
	for _, p := range []struct {
		name string
		alone
	}{
		{"crashes are counted, nothing else", alone{tasks: 2, culprits: 0b1, limit: 2, defect: countOnly}},
		{"marked while others still run", alone{tasks: 2, culprits: 0b1, limit: 2, defect: flagBeforeQuiet, lapse: 1}},
		{"others start beside", alone{tasks: 2, culprits: 0b1, limit: 2, defect: startBeside}},
		{"the handler starts before the mark", alone{tasks: 1, culprits: 0b1, limit: 2, defect: handlerBeforeFlag}},
		{"others start before the result is recorded", alone{tasks: 2, culprits: 0b1, limit: 2, defect: freeWithHandler}},
		{"a result keeps the mark", alone{tasks: 2, culprits: 0b1, limit: 2, again: 1, defect: flagSurvivesFinish}},
		{"handlers of an ended session do not count", alone{tasks: 2, culprits: 0b1, limit: 2, lapse: 2, defect: zombiesAreNotCounted}},
		{"a lost lease leaves the mark", alone{tasks: 1, limit: 1, lapse: 1, defect: flagSurvivesSession}},
		{"a drain leaves the mark", alone{tasks: 1, limit: 1, leave: 1, defect: flagSurvivesSession}},
	} {
		t.Run(p.name, func(t *testing.T) {
			sound := p.alone
			sound.defect = 0
			if got := explore(&sound); got.violation != "" {
				t.Fatalf("the mix is not sound: %s", got)
			}
			got := explore(&p.alone)
			if got.violation == "" {
				t.Errorf("not caught in %s", got)
			}
			t.Log(got)
		})
	}
}
