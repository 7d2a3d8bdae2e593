package claim

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Two records of a task in one process: the second waits for the first, without asking Redis.
func TestSecondRecordIsHeld(t *testing.T) {
	s := onMiniredis(t)
	node := start(t, s, &registry{}, me)
	first, second := node.won(hold("twice", 0, 1, 1)), hold("twice", 0, 1, 1)
	held := func(when string) {
		t.Helper()
		calls := s.Calls()
		if v := node.begin(second); v != Held {
			t.Fatalf("%s: %s, want held", when, v)
		}
		if s.Calls() != calls {
			t.Errorf("%s: Redis was asked", when)
		}
	}
	held("while it runs")
	mustWrite(t, node.answer(func(done func(Result)) { node.Alone(first, done) }))
	held("while it runs alone")
	node.lost()
	node.trusted("me-2")
	held("when its session is over")
	mustWrite(t, node.finish(first, Outcome{State: Dying}))
	held("while its letter is written")
	other := node.won(hold("other", 0, 1, 1)) // of another task
	mustWrite(t, node.release(other))
	mustWrite(t, node.finish(first, Outcome{State: Dead}))
	if v := node.begin(second); v != Done {
		t.Errorf("after its end: %s, want done", v)
	}
	released := node.won(hold("released", 0, 1, 1))
	mustWrite(t, node.release(released))
	node.won(hold("released", 0, 1, 1))
}

// A task that is sent hundreds of times runs once, on two nodes with two processes' worth of records each.
// It is not parallel, as it takes the whole machine.
func TestManyRecordsOneRun(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		var registry registry
		nodes := []*node{start(t, s, &registry, me), start(t, NewStore(s.client, s.prefix), &registry, other)}
		var runs, ended atomic.Int32
		records := int32(300)
		if testing.Short() {
			records = 100
		}
		var all sync.WaitGroup
		for i := range records {
			all.Go(func() {
				node, h := nodes[i%2], hold("same", 0, 1, 1)
				for {
					node.Begin(h)
					switch v := <-h.Of.(chan Verdict); v {
					case Run:
						runs.Add(1)
						answer := make(chan Result)
						node.Finish(h, Outcome{State: Succeeded}, func(r Result) { answer <- r })
						if r := <-answer; r != Written {
							t.Error(r)
						}
						ended.Add(1)
						return
					case Held:
						<-time.After(time.Millisecond)
					case Done:
						ended.Add(1)
						return
					default:
						t.Error(v)
						return
					}
				}
			})
		}
		all.Wait()
		if runs.Load() != 1 || ended.Load() != records {
			t.Errorf("%d runs, %d ends", runs.Load(), ended.Load())
		}
	})
}

func TestRegisterForgetsWhatIsOver(t *testing.T) {
	s := onMiniredis(t)
	node := start(t, s, &registry{}, me)
	for i := range 100 {
		h := hold(fmt.Sprint(i), 0, 1, 1)
		switch i % 4 {
		case 0:
			put(t, s, h, at(Succeeded, 0, 1).String())
			node.begin(h)
		case 1:
			put(t, s, h, at(Running, 0, 1).String())
			node.begin(h)
		case 2:
			node.won(h)
			put(t, s, h, at(Succeeded, 0, 1).String())
			node.finish(h, Outcome{State: Succeeded})
		default:
			node.won(h)
			node.finish(h, Outcome{State: Retrying, Due: time.Now()})
		}
	}
	if n := len(node.register.all()); n != 0 {
		t.Errorf("%d holds are still there", n)
	}
}
