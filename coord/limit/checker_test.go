package limit_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"
)

// An event is what a node under test says of a task, or of its waiting for a slot.
type event struct {
	Process int
	Task    int `json:",omitempty"` // counted by its process, for each type
	Type    string
	Slot    int   `json:",omitempty"`
	Token   int64 `json:",omitempty"`
	Session string
	What    string // "begin" and "beat" of a task whose slot's lease is trusted at that time; "wait" of a node that has no task at work
	At      int64  // nanoseconds, by the clock of the machine that they all share
	Since   int64  `json:",omitempty"` // of "wait", and of the "begin" that ended it: when it began
}

// A span is a time for which a task was certainly at work with its lease trusted.
type span struct {
	event
	end int64
}

// A verdict is what the checker finds.
type verdict struct {
	violations []string
	tasks      int
	tokens     int            // different holdings of slots
	atOnce     map[string]int // the most tasks at work at once, of each type
	longest    time.Duration  // that a node waited with no task at work, in one session
}

// judge checks what nodes said: never more tasks of a type at once than its limit, never two in one slot, and the tokens of a slot grow.
func judge(events []event, limits map[string]int) verdict {
	v := verdict{atOnce: map[string]int{}}
	type task struct {
		process, number int
		typ             string
	}
	spans := map[task]*span{}
	holdings := map[string]bool{}
	for _, e := range events {
		if e.Since != 0 {
			v.longest = max(v.longest, time.Duration(e.At-e.Since))
		}
		id := task{e.Process, e.Task, e.Type}
		switch e.What {
		case "begin":
			spans[id] = &span{e, e.At}
			holdings[fmt.Sprint(e.Type, " ", e.Slot, " ", e.Token)] = true
		case "beat":
			if s := spans[id]; s != nil {
				s.end = max(s.end, e.At)
			}
		}
	}
	v.tasks, v.tokens = len(spans), len(holdings)
	byType := map[string][]*span{}
	for _, s := range spans {
		byType[s.Type] = append(byType[s.Type], s)
	}
	for typ, spans := range byType {
		slices.SortFunc(spans, func(a, b *span) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Token, b.Token)) })
		v.crowd(typ, limits[typ], spans)
		bySlot := map[int][]*span{}
		for _, s := range spans {
			bySlot[s.Slot] = append(bySlot[s.Slot], s)
		}
		for slot, spans := range bySlot {
			if slot < 0 || slot >= limits[typ] {
				v.add("%s has a slot %d", typ, slot)
			}
			v.order(spans)
		}
	}
	return v
}

// crowd checks how many are at work at once.
func (v *verdict) crowd(typ string, n int, spans []*span) {
	var open []*span
	for _, s := range spans {
		open = slices.DeleteFunc(open, func(o *span) bool { return o.end < s.At })
		open = append(open, s)
		v.atOnce[typ] = max(v.atOnce[typ], len(open))
		if len(open) > n {
			v.add("%d tasks of %s at work at once, when %s has token %d", len(open), typ, s.Session, s.Token)
		}
	}
}

// order checks one slot: one task at a time, and tokens that grow.
func (v *verdict) order(spans []*span) {
	for i := 1; i < len(spans); i++ {
		last, next := spans[i-1], spans[i]
		if next.At <= last.end {
			v.add("slot %d of %s has two tasks, of tokens %d and %d", next.Slot, next.Type, last.Token, next.Token)
		}
		if next.Token < last.Token || next.Token == last.Token && next.Session != last.Session {
			v.add("slot %d of %s: token %d of %s comes after %d of %s", next.Slot, next.Type, next.Token, next.Session, last.Token, last.Session)
		}
	}
}

func (v *verdict) add(format string, args ...any) {
	v.violations = append(v.violations, fmt.Sprintf(format, args...))
}

func TestCheckerFindsPlantedViolations(t *testing.T) {
	limits := map[string]int{"lock": 1, "three": 3}
	says := func(process, task int, typ string, slot int, token int64, at, end int64) []event {
		session := fmt.Sprint("s", process)
		return []event{
			{Process: process, Task: task, Type: typ, Slot: slot, Token: token, Session: session, What: "begin", At: at},
			{Process: process, Task: task, Type: typ, Slot: slot, Token: token, Session: session, What: "beat", At: end},
		}
	}
	for _, tt := range []struct {
		name   string
		events [][]event
		found  int
	}{
		{"nothing", nil, 0},
		{"one after the other", [][]event{says(1, 1, "lock", 0, 5, 10, 20), says(1, 2, "lock", 0, 5, 30, 40), says(2, 1, "lock", 0, 6, 50, 60)}, 0},
		{"of two types", [][]event{says(1, 1, "lock", 0, 5, 10, 20), says(1, 1, "three", 0, 5, 10, 20)}, 0},
		{"three at once", [][]event{says(1, 1, "three", 0, 5, 10, 20), says(1, 2, "three", 1, 5, 10, 20), says(2, 1, "three", 2, 6, 11, 15)}, 0},
		{"two at once where one may be", [][]event{says(1, 1, "lock", 0, 5, 10, 20), says(2, 1, "lock", 0, 6, 15, 25)}, 2},                                                                            // and in one slot
		{"four at once where three may be", [][]event{says(1, 1, "three", 0, 5, 10, 20), says(1, 2, "three", 1, 5, 10, 20), says(2, 1, "three", 2, 6, 11, 15), says(3, 1, "three", 3, 7, 12, 13)}, 2}, // and a slot that is none
		{"two in one slot", [][]event{says(1, 1, "three", 0, 5, 10, 20), says(2, 1, "three", 0, 6, 15, 25)}, 1},
		{"one that goes on with an older token", [][]event{says(1, 1, "lock", 0, 6, 10, 20), says(2, 1, "lock", 0, 5, 30, 40)}, 1},
		{"the same token for two", [][]event{says(1, 1, "lock", 0, 5, 10, 20), says(2, 1, "lock", 0, 5, 30, 40)}, 1},
		{"a slot that the type does not have", [][]event{says(1, 1, "lock", 1, 5, 10, 20)}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 {
				if v := judge(slices.Concat(tt.events...), limits); len(v.violations) != tt.found {
					t.Errorf("it finds %q, want %d", v.violations, tt.found)
				}
				slices.Reverse(tt.events) // they come file by file, not as they happened
			}
		})
	}
	if v := judge([]event{{What: "wait", At: 90, Since: 10}, {What: "begin", At: 95, Since: 10}, {What: "wait", At: 97, Since: 96}}, limits); v.longest != 85 {
		t.Errorf("the longest waiting is %d, want 85", v.longest)
	}
}
