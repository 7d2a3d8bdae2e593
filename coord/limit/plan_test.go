package limit

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
)

const (
	me     = "me"
	fair   = 2 * time.Second
	linger = 500 * time.Millisecond
)

// etcdHas makes seats: "2:me" is slot 2, "w:a" a ticket; each with the next higher revision, from 1 on.
func etcdHas(what ...string) *seats {
	s := &seats{slots: map[int]entry{}, line: map[string]entry{}}
	for i, w := range what {
		var session string
		var number int
		if n, _ := fmt.Sscanf(w, "w:%s", &session); n == 1 {
			s.line[session] = entry{owner: owner{Session: session}, token: int64(i + 1), ours: session == me}
		} else if n, _ := fmt.Sscanf(w, "%d:%s", &number, &session); n == 2 {
			s.slots[number] = entry{owner: owner{Session: session}, token: int64(i + 1), ours: session == me}
		}
	}
	return s
}

func TestPlan(t *testing.T) {
	type does = []string
	for _, tt := range []struct {
		name    string
		n, want int
		etcd    []string
		used    []int         // of the slots that etcd says are ours
		ago     time.Duration // since when they are, and are idle
		does    does
		alarm   time.Duration
	}{
		{"nothing wanted, nothing done", 3, 0, nil, nil, 0, nil, 0},
		{"no limit, no slot", 0, 3, nil, nil, 0, nil, 0},
		{"all is free", 1, 1, nil, nil, 0, does{"take 0"}, 0},
		{"as many as there are", 2, 9, nil, nil, 0, does{"take 0", "take 1"}, 0},
		{"as many as are left", 3, 9, []string{"1:a"}, nil, 0, does{"take 0", "take 2"}, 0},
		{"none is free", 1, 1, []string{"0:a"}, nil, 0, does{"stand"}, 0},
		{"somebody waits already", 1, 1, []string{"w:a"}, nil, 0, does{"stand"}, 0},
		{"one beyond the limit is still at work", 1, 1, []string{"1:a"}, nil, 0, does{"stand"}, 0},
		{"in line, and none is free", 1, 1, []string{"0:a", "w:me"}, nil, 0, nil, 0},
		{"in line, and one beyond the limit is still at work", 1, 1, []string{"1:a", "w:me"}, nil, 0, nil, 0},
		{"the first in line", 2, 1, []string{"0:a", "w:me", "w:b"}, nil, 0, does{"redeem 1"}, 0},
		{"the second in line", 2, 1, []string{"0:a", "w:b", "w:me"}, nil, 0, nil, 0},
		{"the second in line, and two are free", 3, 1, []string{"0:a", "w:b", "w:me"}, nil, 0, does{"redeem 2"}, 0},
		{"first by age, but the other one has none", 2, 2, []string{"0:me", "w:me", "w:b"}, []int{0}, 0, nil, 0},
		{"both have one, so age decides", 3, 2, []string{"0:me", "2:b", "w:me", "w:b"}, []int{0}, 0, does{"redeem 1"}, 0},
		{"in line for what nobody wants here", 1, 0, []string{"0:a", "w:me"}, nil, 0, does{"tear"}, 0},
		{"in line, and has enough", 2, 1, []string{"0:me", "w:me"}, []int{0}, 0, does{"tear"}, 0},
		{"in line, and has enough for now, with none free", 2, 1, []string{"0:me", "1:a", "w:me"}, []int{0}, 0, nil, linger},
		{"in line, and the limit is lifted", 0, 1, []string{"0:a", "w:me"}, nil, 0, does{"tear"}, 0},
		{"has all it wants", 2, 1, []string{"0:me"}, nil, time.Hour, nil, 0},
		{"more than it wants, for a moment", 2, 1, []string{"0:me", "1:me"}, nil, linger / 2, nil, linger / 2},
		{"more than it wants", 2, 1, []string{"0:me", "1:me"}, nil, linger, does{"give 0"}, 0},
		{"more than it wants, but at work", 2, 1, []string{"0:me", "1:me"}, []int{0, 1}, time.Hour, nil, 0},
		{"more than it wants, and others wait", 2, 1, []string{"0:me", "1:me", "w:a"}, []int{0}, 0, does{"give 1"}, 0},
		{"nobody wants it, and one beyond our fair share waits", 2, 0, []string{"0:me", "1:a", "w:a"}, nil, 0, does{"give 0"}, 0},
		{"the limit has shrunk", 1, 2, []string{"0:me", "1:me"}, []int{0}, 0, does{"give 1"}, 0},
		{"the limit has shrunk, and it is at work", 1, 2, []string{"0:me", "1:me"}, []int{0, 1}, 0, nil, 0},
		{"the limit is lifted", 0, 2, []string{"0:me"}, nil, 0, does{"give 0"}, 0},
		{"somebody waits, and the fair time is not over", 1, 1, []string{"0:me", "w:a"}, nil, fair / 2, nil, fair / 2},
		{"somebody waits, and the fair time is over", 1, 1, []string{"0:me", "w:a"}, nil, fair, does{"give 0", "stand"}, 0},
		{"somebody waits, and one is free", 2, 1, []string{"0:me", "w:a"}, nil, fair, nil, 0},
		{"somebody waits who has as many", 2, 2, []string{"0:me", "1:a", "w:me", "w:a"}, nil, fair, nil, 0},
		{"somebody waits who has fewer", 3, 3, []string{"0:me", "1:me", "2:a", "w:a"}, []int{1}, fair, does{"give 0", "stand"}, 0},
		{"two wait", 3, 3, []string{"0:me", "1:me", "2:me", "w:a", "w:b"}, nil, fair, does{"give 0", "give 1", "stand"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, now := lease.New(me), time.Now()
			k, s := &kind{limit: Limit{N: tt.n}, want: tt.want}, etcdHas(tt.etcd...)
			k.settle("t", s, l, now.Add(-tt.ago)) // takes over what is ours
			slices.SortFunc(k.places, func(a, b *place) int { return a.slot.Number - b.slot.Number })
			for _, p := range k.places {
				if slices.Contains(tt.used, p.slot.Number) {
					p.state, p.idle = used, time.Time{}
				}
			}
			steps, alarm := k.plan("t", s, me, now, fair, linger)
			var got does
			for _, step := range steps {
				word := map[verb]string{give: "give", tear: "tear", take: "take", redeem: "redeem", stand: "stand"}[step.do]
				if step.do != tear && step.do != stand {
					word += fmt.Sprint(" ", step.number)
				}
				got = append(got, word)
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.does) {
				t.Errorf("it does %q, want %q", got, tt.does)
			}
			if tt.alarm == 0 != alarm.IsZero() || tt.alarm != 0 && !alarm.Equal(now.Add(tt.alarm)) {
				t.Errorf("it looks again after %s, want %s", alarm.Sub(now), tt.alarm)
			}
		})
	}
}

func TestWhatIsLeavingIsNeverUsedAgain(t *testing.T) {
	l, now := lease.New(me), time.Now()
	k := &kind{limit: Limit{N: 1}, want: 1}
	k.settle("t", etcdHas("0:me"), l, now)
	k.places[0].state = leaving
	for range 3 { // its deletion is not to be seen yet, whatever became of it
		if news, lost := k.settle("t", etcdHas("0:me"), l, now); news || lost != nil || k.places[0].state != leaving {
			t.Fatal("it is back")
		}
		if steps, _ := k.plan("t", etcdHas("0:me"), me, now, fair, linger); len(steps) == 0 || steps[0].do != give {
			t.Fatalf("it is not given again, but %+v", steps)
		}
	}
	if news, _ := k.settle("t", etcdHas("", "0:me"), l, now); !news || len(k.places) != 1 || k.places[0].state != idle {
		t.Error("a later one with the same number is not a new one")
	}
}

func TestRefusedStepsAreNotRepeatedAtOnce(t *testing.T) {
	l, now := lease.New(me), time.Now()
	limit := Limit{N: 1}
	for _, tt := range []struct {
		what  outcome
		etcd  *seats
		alarm time.Duration
		then  []verb // in the meantime
	}{
		{refused, etcdHas(), again, nil},
		{outdated, etcdHas(), stray, nil},
		{outdated, etcdHas("w:me"), stray, []verb{tear}},
	} {
		k := &kind{limit: limit, want: 1}
		if k.done(step{typ: "t", do: take, limit: limit}, tt.what, l, 9, now) || len(k.places) > 0 {
			t.Error("it has a slot that it was refused")
		}
		steps, alarm := k.plan("t", tt.etcd, me, now, fair, linger)
		var then []verb
		for _, s := range steps {
			then = append(then, s.do)
		}
		if !slices.Equal(then, tt.then) || !alarm.Equal(now.Add(tt.alarm)) {
			t.Errorf("%v: it goes on with %v, and looks again after %s", tt.what, then, alarm.Sub(now))
		}
		if steps, _ = k.plan("t", etcdHas(), me, alarm, fair, linger); len(steps) != 1 || steps[0].do != take {
			t.Errorf("%v: and then it does %+v", tt.what, steps)
		}
	}
}
