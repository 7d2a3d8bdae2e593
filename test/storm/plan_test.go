package storm

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tasktier/tasktier/task"
	"github.com/tasktier/tasktier/test/history"
)

const (
	source = "/storm"
	// Queues: one of which each task is for itself, one of which tasks with the same key run in order.
	plainQueue   = "storm"
	orderedQueue = "line"
	orderingKeys = 40
)

// Types of tasks. What a task does is in its plan; types are what limits are for.
const (
	plainType  = "work"
	lockedType = "locked" // one at a time
	scarceType = "scarce" // three at a time
	lineType   = "line"   // of the ordered queue
	tickType   = "tick"   // of the schedule
)

var limits = map[string]int{lockedType: 1, scarceType: 3}

// A share is how much of a load is of a kind: its weight among those of the mix.
type share struct {
	Kind   string `json:"kind"`
	Weight int    `json:"weight"`
}

// everything is the mixture of a storm.
var everything = mixture{
	Kinds: []share{
		{"quick", 6150}, {"flaky", 700}, {"snoozing", 350}, {"broken", 200}, {"mended", 150}, {"hopeless", 100}, {"timeout", 20},
		{"delayed", 500}, {"far", 100}, {"expiring", 150}, {"slow", 50}, {"deaf", 30},
		{"locked", 150}, {"scarce", 250}, {"line", 900}, {"flaky line", 100}, {"long", 100},
	},
	Again: 4, Canceled: 2, Deadly: 45 * time.Second,
}

// An assignment is a task of the load, and what else is to be done about it.
type assignment struct {
	queue string
	plan  history.Plan
	id    string
	// again says that another producer sends it too, and how much later; negative: none does.
	again time.Duration
	// cancel says that it is to be canceled, and how long after it was sent; negative: it is not.
	cancel time.Duration
}

// Lags are how much later something more is done about a task.
var (
	againLags  = []time.Duration{0, 3 * time.Second}
	cancelLags = []time.Duration{0, 100 * time.Millisecond, time.Second, 5 * time.Second, 20 * time.Second}
)

// due is when the producer's task of that number is to be sent.
func (l load) due(n int) time.Time {
	return l.Start.Add(time.Duration(float64(n) * float64(l.Producers) / l.Rate * float64(time.Second)))
}

// by is how many tasks of a producer are to be sent by then.
func (l load) by(at time.Time) int {
	return int(max(0, at.Sub(l.Start).Seconds()*l.Rate/float64(l.Producers)))
}

// assign says what the task of a producer with that number is. It is the same whoever asks.
func (l load) assign(producer, n int) assignment {
	dice := rand.New(rand.NewPCG(l.Seed, uint64(producer)<<40|uint64(n)))
	at := l.due(n)
	a := assignment{queue: plainQueue, id: fmt.Sprintf("%d-%d", producer, n), again: -1, cancel: -1}
	a.plan = l.plan(dice, l.kind(dice, producer, n), at)
	if a.plan.Key != "" {
		a.queue = orderedQueue
	}
	// A task that is sent twice is not in line twice: which copy counts would decide its place.
	if dice.IntN(100) < l.Again && a.plan.Key == "" {
		a.again = againLags[dice.IntN(len(againLags))]
	}
	if dice.IntN(100) < l.Canceled && !a.plan.Kills {
		a.cancel = cancelLags[dice.IntN(len(cancelLags))]
	}
	return a
}

// kind is that of a producer's task.
func (l load) kind(dice *rand.Rand, producer, n int) string {
	// The first one comes early.
	if turn := func(n int) time.Duration { return (l.due(n).Sub(l.Start) + 4*l.Deadly/5) / l.Deadly }; l.Deadly > 0 && producer == 0 && turn(n) > turn(n-1) {
		return "deadly"
	}
	all := 0
	for _, s := range l.Kinds {
		all += s.Weight
	}
	at := dice.IntN(all)
	for _, s := range l.Kinds {
		if at -= s.Weight; at < 0 {
			return s.Kind
		}
	}
	return ""
}

// plan is that of a task of a kind which is sent at that time.
func (l load) plan(dice *rand.Rand, kind string, at time.Time) history.Plan {
	p := history.Plan{Type: plainType, Takes: dice.IntN(40)}
	later := func(least, most time.Duration) history.Moment {
		most = max(least, min(most, l.Longest))
		return history.At(at.Add(least + time.Duration(dice.Int64N(int64(most-least)+1))).Truncate(time.Millisecond))
	}
	longest := min(10_000, max(4000, int(l.Longest.Milliseconds()))) // that a task takes, in milliseconds
	switch kind {
	case "flaky":
		p.Fails = 1 + dice.IntN(3)
	case "snoozing":
		p.Snoozes = 1 + dice.IntN(2)
		p.Fails = dice.IntN(2)
	case "broken":
		p.End = task.ReasonFailed
	case "mended": // by an operator, before it is replayed
		p.End, p.Mended = task.ReasonFailed, 1+dice.IntN(2)
	case "hopeless":
		p.End, p.MaxAttempts, p.Mended = task.ReasonExhausted, 2+dice.IntN(2), dice.IntN(2)
	case "timeout":
		p.End, p.MaxAttempts, p.Takes, p.Timeout = task.ReasonExhausted, 2, 3000, 400*time.Millisecond
	case "delayed":
		p.NotBefore = later(50*time.Millisecond, 20*time.Second)
	case "far":
		p.NotBefore = later(min(20*time.Second, l.Longest/2), l.Longest)
	case "expiring":
		p.Expires = later(50*time.Millisecond, 10*time.Second)
	case "long":
		p.Takes = 500 + dice.IntN(1500)
	case "slow":
		p.Takes = 2000 + dice.IntN(longest-2000)
	case "deaf":
		p.Takes, p.Deaf = 2000+dice.IntN(longest-2000), true
	case "deafest": // for longer than a lease and what follows its end
		p.Takes, p.Deaf = 8000+dice.IntN(6000), true
	case "deadly":
		p.Kills, p.End, p.Mended, p.Takes = true, task.ReasonPoison, 1, 20
	case lockedType, scarceType:
		p.Type, p.Limit = kind, limits[kind]
	case "line", "flaky line":
		p.Type, p.Key, p.Takes = lineType, fmt.Sprintf("key-%d", dice.IntN(orderingKeys)), dice.IntN(20)
		if kind == "flaky line" {
			p.Fails = 1 + dice.IntN(2)
		}
	}
	return p
}

// task is the assignment as a task, and the hash of its payload.
func (a assignment) task() (*task.Task, uint64, error) {
	payload, err := json.Marshal(a.plan)
	if err != nil {
		return nil, 0, fmt.Errorf("encode plan of %s: %w", a.id, err)
	}
	t := task.New(a.plan.Type, payload, task.ID(a.id), task.Source(source), task.Queue(a.queue), task.ContentType("application/json"),
		task.At(a.plan.NotBefore.Time()), task.Expires(a.plan.Expires.Time()), task.MaxAttempts(a.plan.MaxAttempts), task.Key(a.plan.Key),
		task.Timeout(a.plan.Timeout))
	return t, history.Hash(payload), nil
}

// name is that of the task in the history.
func (a assignment) name() history.Task {
	return history.Task{Queue: a.queue, Source: source, ID: a.id}
}
