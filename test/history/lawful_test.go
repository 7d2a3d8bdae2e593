package history

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/task"
	"pgregory.net/rapid"
)

// A life writes lawful histories of tasks, at random: they fail, snooze, die and are replayed, and their nodes are killed,
// paused and stopped under them. Each disaster has a node of its own, so that it is no other task's.
type life struct {
	*rapid.T
	events []Event
	facts  []Event
	nodes  int
	offset map[string]int64
	fence  int64
}

func (l *life) now(at *Moment) Moment {
	*at = at.Add(time.Duration(l.IntRange(1, 3000).Draw(l.T, "ms")) * time.Millisecond)
	return *at
}

func (l *life) IntRange(a, b int) *rapid.Generator[int] { return rapid.IntRange(a, b) }

func (l *life) happens(e Event) { l.events = append(l.events, e) }

// lies writes a record to a topic, and returns where it is passed.
func (l *life) lies(r Event, topic string, at Moment) (passed Event) {
	r.Kind, r.Topic, r.Offset, r.Appended = Record, topic, l.offset[topic], at/1000*1000
	l.offset[topic]++
	l.facts = append(l.facts, r)
	// Every record has a partition of its own, so that commits are of one task.
	l.facts[len(l.facts)-1].Partition = int32(len(l.facts))
	return Event{Kind: Committed, Process: "watch", Topic: topic, Partition: int32(len(l.facts)), Offset: r.Offset + 1}
}

// run is one more try of a turn, until one is recorded.
func (l *life) run(at *Moment, e Event, outcome Outcome) Event {
	for {
		l.fence++
		e.Kind, e.Fence, e.At, e.Process, e.Outcome, e.Cause = Started, l.fence, l.now(at), "node-0", 0, ""
		disaster := l.IntRange(0, 9).Draw(l.T, "disaster")
		if disaster < 4 {
			l.nodes++
			e.Process = fmt.Sprintf("node-%d", l.nodes)
		}
		node := e.Process
		l.happens(e)
		end := e
		end.Kind, end.Outcome = Ended, outcome
		switch disaster {
		case 0: // killed while it runs
			l.happens(Event{Kind: Killed, Process: "nemesis", Target: node, At: l.now(at)})
			l.happens(Event{Kind: Died, Process: "nemesis", Target: node, At: l.now(at)})
		case 1: // killed before the end is recorded
			end.At = l.now(at)
			l.happens(end)
			*at = at.Add(time.Millisecond)
			l.happens(Event{Kind: Killed, Process: "nemesis", Target: node, At: *at})
			l.happens(Event{Kind: Died, Process: "nemesis", Target: node, At: l.now(at)})
		case 2: // paused, and taken over
			pause := l.now(at)
			*at = at.Add(12 * time.Second)
			l.happens(Event{Kind: Paused, Process: "nemesis", Target: node, At: pause})
			l.happens(Event{Kind: Resumed, Process: "nemesis", Target: node, At: *at})
			end.At, end.Outcome, end.Cause = l.now(at), GaveUp, "this node's session is over"
			end.At = at.Add(0)
			l.happens(end)
		case 3: // its node stops, and it heeds that
			end.At, end.Outcome, end.Cause = l.now(at), GaveUp, "context canceled"
			l.happens(end)
			l.happens(Event{Kind: Stopped, Process: "nemesis", Target: node, At: l.now(at)})
		default:
			end.At = l.now(at)
			l.happens(end)
			return end
		}
	}
}

// live is the whole life of a task.
func (l *life) live(id string) {
	at := epoch.Add(time.Duration(l.IntRange(0, 60).Draw(l.T, "sent")) * time.Second)
	of := Task{"q", "/s", id}
	plan := &Plan{
		Type: "work", Fails: l.IntRange(0, 2).Draw(l.T, "fails"), Snoozes: l.IntRange(0, 2).Draw(l.T, "snoozes"),
		End: rapid.SampledFrom([]task.Reason{"", "", task.ReasonFailed}).Draw(l.T, "end"),
	}
	if plan.End != "" {
		plan.Mended = l.IntRange(0, 1).Draw(l.T, "mended")
	}
	hash := hashOf(id)
	l.happens(Event{Kind: Sent, At: at, Process: "p", Task: of, Plan: plan, Hash: hash})
	e := Event{Task: of, Turn: 1, Attempt: 1}
	lying := func() Event {
		return Event{Task: of, Generation: e.Generation, Turn: e.Turn, Attempt: e.Attempt, Hash: hash}
	}
	passed := l.lies(lying(), "q.pending", at)
	l.happens(Event{Kind: Acknowledged, At: at, Process: "p", Task: of})
	pass := func() {
		passed.At = l.now(&at)
		l.happens(passed)
	}
	for generation := 0; ; generation++ {
		for i := range plan.Fails + plan.Snoozes {
			outcome := Snoozed
			if i < plan.Fails {
				outcome = Failed
			}
			l.run(&at, e, outcome)
			e.Turn++
			if outcome == Failed {
				e.Attempt++
			}
			waits := lying()
			waits.Due = at.Add(2*time.Second) / 1000 * 1000
			tier := l.lies(waits, "tasktier.retry.minute", at.Add(time.Millisecond))
			at = at.Add(5 * time.Millisecond)
			pass()
			at = max(at, waits.Due+1000)
			passed = l.lies(lying(), "q.pending", at)
			at += 2000
			tier.At = l.now(&at)
			l.happens(tier)
		}
		last := l.run(&at, e, map[bool]Outcome{true: Permanent, false: Succeeded}[plan.ends(generation) != ""])
		final := Event{Kind: Claim, Task: of, State: task.Succeeded, Generation: generation, Turn: e.Turn, Fence: last.Fence, Finished: at, Result: runName(last.Process, last.Fence)}
		if plan.ends(generation) == "" {
			pass()
			l.facts = append(l.facts, final)
			return
		}
		letter := Event{Task: of, Generation: generation, Hash: hash, Reason: plan.End, Key: string(deadletter.Key("/s", id, generation))}
		l.lies(letter, "q.dead", at.Add(time.Millisecond))
		at = at.Add(3 * time.Millisecond)
		pass()
		if generation > 0 || plan.Mended == 0 {
			final.State, final.Result = task.Dead, ""
			l.facts = append(l.facts, final)
			return
		}
		e.Generation, e.Turn, e.Attempt = generation+1, 1, 1
		passed = l.lies(lying(), "q.pending", l.now(&at))
		letter.Tombstone, letter.Hash, letter.Reason = true, 0, ""
		l.lies(letter, "q.dead", l.now(&at))
	}
}

// history is all of it.
func (l *life) history() []Event {
	l.offset = make(map[string]int64)
	for i := range l.IntRange(1, 4).Draw(l.T, "tasks") {
		l.live(fmt.Sprintf("task-%d", i))
	}
	end := epoch.Add(time.Hour)
	for _, topic := range []string{"q.pending", "q.dead", "tasktier.retry.minute", "claims"} {
		l.facts = append(l.facts, Event{Kind: Collected, Name: topic})
	}
	for i := range l.facts {
		l.facts[i].At, l.facts[i].Process = end, "collector"
	}
	return append(l.events, l.facts...)
}

func judge(t *rapid.T, events []Event) (Report, string) {
	report, err := Check(All(events...), Rules{})
	if err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	report.Print(&told)
	return report, told.String()
}

// TestLawfulHistoriesPass: whatever befalls tasks that are handled by the protocol, nothing is found.
func TestLawfulHistoriesPass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &life{T: t}
		if report, told := judge(t, l.history()); !report.OK() {
			t.Fatal(told)
		}
	})
}

// TestCrimesAreFound: in any lawful history, one thing that is not is found and named.
func TestCrimesAreFound(t *testing.T) {
	index := func(events []Event, holds func(Event) bool) int { return slices.IndexFunc(events, holds) }
	last := func(events []Event, holds func(Event) bool) int {
		for i := len(events) - 1; i >= 0; i-- {
			if holds(events[i]) {
				return i
			}
		}
		return -1
	}
	is := func(k Kind) func(Event) bool { return func(e Event) bool { return e.Kind == k } }
	succeeded := func(e Event) bool { return e.Kind == Ended && e.Outcome == Succeeded && e.Process == "node-0" }
	for name, crime := range map[string]struct {
		rule   Rule
		commit func(events []Event) []Event // nil: there is no occasion
	}{
		"a task is forgotten": {NothingLost, func(events []Event) []Event {
			return slices.Insert(events, 0, Event{At: epoch, Kind: Sent, Task: Task{"q", "/s", "y"}, Plan: &Plan{}}, Event{At: epoch, Kind: Acknowledged, Task: Task{"q", "/s", "y"}})
		}},
		"a claim says that it still runs": {NothingLost, func(events []Event) []Event {
			events[index(events, is(Claim))].State = task.Running
			return events
		}},
		"it runs again": {DoneOnce, func(events []Event) []Event {
			i := last(events, succeeded)
			if i < 0 {
				return nil
			}
			e := events[i]
			e.Kind, e.Outcome, e.At, e.Fence = Started, 0, e.At.Add(time.Minute), e.Fence+1_000_000
			return append(events, e)
		}},
		"a fence is reused": {FencesGrow, func(events []Event) []Event {
			first := index(events, is(Started))
			second := last(events, func(e Event) bool { return e.Kind == Started && e.Task == events[first].Task })
			if second == first {
				return nil
			}
			fence := events[second].Fence
			for i := range events {
				if e := &events[i]; e.Task == events[first].Task && e.Fence == fence && e.Kind != Claim {
					e.Fence = events[first].Fence
				}
			}
			return events
		}},
		"a retry is early": {NeverEarly, func(events []Event) []Event {
			i := index(events, func(e Event) bool { return e.Due != 0 })
			if i < 0 {
				return nil
			}
			events[i].Due += Moment(time.Minute.Microseconds())
			return events
		}},
		"an attempt is counted twice": {CrashIsNoFailure, func(events []Event) []Event {
			i := index(events, func(e Event) bool { return e.Kind == Started && e.Attempt > 1 })
			if i < 0 {
				return nil
			}
			of := events[i]
			for i := range events {
				if e := &events[i]; e.Task == of.Task && e.Generation == of.Generation && e.Turn >= of.Turn && e.Kind != Claim {
					e.Attempt++
				}
			}
			return events
		}},
		"a letter is taken away early": {Letters, func(events []Event) []Event {
			i := index(events, func(e Event) bool { return e.Tombstone })
			if i < 0 {
				return nil
			}
			events[i].Appended = events[index(events, func(e Event) bool { return e.Reason != "" && e.Key == events[i].Key })].Appended
			return events
		}},
		"a payload is changed": {Intact, func(events []Event) []Event {
			events[index(events, is(Record))].Hash++
			return events
		}},
		"an offset is committed too early": {Offsets, func(events []Event) []Event {
			i := index(events, is(Committed))
			of := events[index(events, is(Record))]
			started := index(events, func(e Event) bool { return e.Kind == Started && e.Task == of.Task })
			if events[i].Topic != "q.pending" || events[i].Partition != of.Partition {
				return nil
			}
			events[i].At = events[started].At.Add(-2 * time.Millisecond)
			return events
		}},
	} {
		t.Run(name, func(t *testing.T) {
			occasions := 0
			rapid.Check(t, func(t *rapid.T) {
				l := &life{T: t}
				events := crime.commit(l.history())
				if events == nil {
					return
				}
				occasions++
				report, told := judge(t, events)
				if report.Violated[crime.rule] == 0 {
					t.Fatalf("it was not found:\n%s", told)
				}
			})
			if occasions == 0 {
				t.Error("there was no occasion")
			}
		})
	}
}
