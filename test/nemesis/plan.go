package nemesis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A Plan is what goes wrong, and when: rounds, one after the other. Faults of one round may overlap; between two rounds all
// is mended, and there is calm for a moment, so that what was promised can come true and work goes on.
type Plan struct {
	Seed   uint64
	Rounds []Round
}

// A Round ends when the last of its faults is mended, and its calm is over.
type Round struct {
	Steps []Step
	Calm  time.Duration
}

// A Step is a fault that begins so long after its round and is mended so long after it began.
type Step struct {
	After time.Duration
	Fault Fault
	Lasts time.Duration
}

// Limits bound a plan. Zero values are not limits: nothing would happen.
type Limits struct {
	// AtOnce is the most faults of a round, which may all overlap. At least 1.
	AtOnce int
	// PerClass bounds those of one class in a round. A class that is not named has no bound of its own.
	PerClass map[Class]int
	// Spread is how late in its round a fault may begin.
	Spread time.Duration
	// Calm is the time without a fault after each round.
	Calm Span
	// Longest bounds each fault, whatever its own span says: a plan of half a minute has no room for one of 30 s.
	// Zero is no bound.
	Longest time.Duration
}

// Make plans for about so long, as if mending took no time, from faults of the menu. Each fault is as likely as any other,
// but for the limits; what is to be more likely is in the menu more often. The same arguments make the same plan.
func Make(seed uint64, about time.Duration, menu []Fault, limits Limits) (Plan, error) {
	if len(menu) == 0 || limits.AtOnce < 1 {
		return Plan{}, fmt.Errorf("make plan: %d faults, %d at once: nothing would happen", len(menu), limits.AtOnce)
	}
	dice := rand.New(rand.NewPCG(seed, 0))
	plan := Plan{Seed: seed}
	var deck []Fault
	for at := time.Duration(0); at < about; {
		round, rest := deal(dice, deck, menu, limits)
		if len(round.Steps) == 0 {
			return Plan{}, fmt.Errorf("make plan: the limits allow none of the faults")
		}
		deck = rest
		at += round.Lasts()
		plan.Rounds = append(plan.Rounds, round)
	}
	return plan, nil
}

// deal takes the faults of a round off the deck. A deck is a shuffled menu, so that even a short plan has most of it and
// a long one all of it; one that runs out is renewed.
func deal(dice *rand.Rand, deck, menu []Fault, limits Limits) (Round, []Fault) {
	if len(deck) < limits.AtOnce {
		more := slices.Clone(menu)
		dice.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
		deck = append(deck, more...)
	}
	round := Round{Calm: within(dice, limits.Calm)}
	n := 1 + dice.IntN(limits.AtOnce)
	var rest []Fault
	for i, f := range deck {
		if len(round.Steps) == n {
			rest = append(rest, deck[i:]...)
			break
		}
		if !round.room(f, limits) {
			rest = append(rest, f)
			continue
		}
		step := Step{Fault: f, Lasts: within(dice, f.Lasts)}
		if limits.Longest > 0 {
			step.Lasts = min(step.Lasts, limits.Longest)
		}
		if limits.Spread > 0 {
			step.After = within(dice, Span{Most: limits.Spread})
		}
		round.Steps = append(round.Steps, step)
	}
	slices.SortStableFunc(round.Steps, func(a, b Step) int { return int(a.After - b.After) })
	return round, rest
}

// room says whether the round may have the fault too.
func (r Round) room(f Fault, limits Limits) bool {
	same := 0
	for _, s := range r.Steps {
		if s.Fault.Target == f.Target {
			return false
		}
		if s.Fault.Class == f.Class {
			same++
		}
	}
	most, bounded := limits.PerClass[f.Class]
	return !bounded || same < most
}

// Lasts is how long the round takes, without what mending takes.
func (r Round) Lasts() time.Duration {
	last := time.Duration(0)
	for _, s := range r.Steps {
		last = max(last, s.After+s.Lasts)
	}
	return last + r.Calm
}

func within(dice *rand.Rand, s Span) time.Duration {
	if s.Most <= s.Least {
		return s.Least
	}
	return (s.Least + time.Duration(dice.Int64N(int64(s.Most-s.Least)+1))).Round(time.Millisecond)
}

// Faults is how many faults the plan has.
func (p Plan) Faults() int {
	n := 0
	for _, r := range p.Rounds {
		n += len(r.Steps)
	}
	return n
}

// Lasts is how long the plan takes, without what mending takes.
func (p Plan) Lasts() time.Duration {
	var all time.Duration
	for _, r := range p.Rounds {
		all += r.Lasts()
	}
	return all
}

// String is the plan for a person, a line a fault.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan of seed %d: %d faults in %d rounds, %s\n", p.Seed, p.Faults(), len(p.Rounds), p.Lasts())
	at := time.Duration(0)
	for i, r := range p.Rounds {
		for _, s := range r.Steps {
			fmt.Fprintf(&b, "  %3d  %8s  for %-7s  %-8s %s\n", i+1, at+s.After, s.Lasts, s.Fault.Class, s.Fault)
		}
		at += r.Lasts()
	}
	return b.String()
}
