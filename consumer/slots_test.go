package consumer

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/internal/testenv/bubble"
)

// turns makes n of them.
func turns(n int) []*turn {
	ts := make([]*turn, n)
	for i := range ts {
		ts[i] = new(turn)
	}
	return ts
}

// serve hands out n turns one after the other, each finished at once, and counts them by queue.
func serve(s *slots, n int, of map[*turn]int) (served map[int]int) {
	served = make(map[int]int)
	var done *share
	for range n {
		t := s.next(done)
		i := of[t]
		done = s.queues[i]
		served[i]++
	}
	s.free(done)
	return served
}

// fill pushes n turns to queue i and notes whose they are.
func fill(s *slots, i, n int, of map[*turn]int) {
	ts := turns(n)
	for _, t := range ts {
		of[t] = i
	}
	s.push(s.queues[i], ts...)
}

func near(got, want int) bool { return got >= want-1 && got <= want+1 }

func TestSlotsServeByWeight(t *testing.T) {
	s, _ := newSlots(8, []int{6, 3, 1})
	of := make(map[*turn]int)
	for i := range 3 {
		fill(s, i, 1000, of)
	}
	served := serve(s, 1000, of)
	if !near(served[0], 600) || !near(served[1], 300) || !near(served[2], 100) {
		t.Errorf("served %v of 1000, want 600, 300, 100", served)
	}
}

func TestSlotsServeWhoHasWork(t *testing.T) {
	s, _ := newSlots(8, []int{1, 100})
	of := make(map[*turn]int)
	fill(s, 0, 50, of)
	if served := serve(s, 50, of); served[0] != 50 {
		t.Errorf("served %v, want 50 of the only queue with work", served)
	}
}

func TestSlotsGiveNoCreditForIdleTime(t *testing.T) {
	s, _ := newSlots(8, []int{1, 1})
	of := make(map[*turn]int)
	fill(s, 0, 2000, of)
	serve(s, 1000, of)
	fill(s, 1, 1000, of)
	if served := serve(s, 100, of); !near(served[0], 50) {
		t.Errorf("served %v of 100 after one queue was idle, want 50 each", served)
	}
}

// A queue whose handlers hold all slots it may have is not owed what it could not use.
func TestSlotsGiveNoCreditForStuckTime(t *testing.T) {
	s, queues := newSlots(3, []int{1, 1})
	of := make(map[*turn]int)
	fill(s, 0, 2000, of)
	for range queues[0].limit {
		s.next(nil)
	}
	fill(s, 1, 2000, of)
	if served := serve(s, 1000, of); served[1] != 1000 {
		t.Fatalf("served %v while one queue is stuck, want 1000 of the other", served)
	}
	for range queues[0].limit {
		s.free(queues[0])
	}
	if served := serve(s, 100, of); !near(served[0], 50) {
		t.Errorf("served %v of 100 after one queue was stuck, want 50 each", served)
	}
}

func TestSlotsKeepOneForEachOtherQueue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, queues := newSlots(5, []int{1, 1, 1})
		got := make(chan *turn, 5)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if t := s.next(nil); t != nil {
					got <- t
				}
			})
		}
		s.push(queues[0], turns(10)...)
		synctest.Wait()
		if n := len(got); n != 3 {
			t.Errorf("a queue has %d of 5 slots, want 3: one is left for each of the two others", n)
		}
		s.push(queues[1], turns(1)...)
		s.push(queues[2], turns(1)...)
		synctest.Wait()
		if n := len(got); n != 5 {
			t.Errorf("%d turns run after the other queues got work, want 5", n)
		}
		s.stop()
		wg.Wait()
	})
}

func TestSlotsDropAPartition(t *testing.T) {
	s, queues := newSlots(1, []int{1})
	mine, other := new(partition), new(partition)
	var kept []*turn
	for i, tn := range turns(100) {
		tn.part = mine
		if i%3 == 0 {
			tn.part = other
			kept = append(kept, tn)
		}
		s.push(queues[0], tn)
	}
	dropped := s.drop(queues[0], mine)
	if len(dropped) != 100-len(kept) {
		t.Errorf("dropped %d, want %d", len(dropped), 100-len(kept))
	}
	for _, tn := range dropped {
		if tn.part != mine {
			t.Fatal("dropped a turn of another partition")
		}
	}
	var done *share
	for i, want := range kept {
		if got := s.next(done); got != want {
			t.Fatalf("turn %d of those that are left is out of order", i)
		}
		done = queues[0]
	}
	if ready, _ := s.load(queues[0]); ready != 0 {
		t.Errorf("%d turns are left", ready)
	}
}

// What comes back is served first, in its order.
func TestSlotsTakeBack(t *testing.T) {
	s, queues := newSlots(1, []int{1})
	all := turns(200)
	s.push(queues[0], all[70:]...)
	s.back(queues[0], all[:70]...)
	var done *share
	for i, want := range all {
		if got := s.next(done); got != want {
			t.Fatalf("turn %d is out of order", i)
		}
		done = queues[0]
	}
	s.stop()
	if s.back(queues[0], all...) {
		t.Error("turns were taken back after the stop")
	}
}

func TestSlotsStop(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, queues := newSlots(2, []int{1})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if tn := s.next(nil); tn != nil {
					t.Error("a turn was started after the stop")
				}
			})
		}
		synctest.Wait()
		s.stop()
		s.push(queues[0], turns(3)...)
		if tn := s.next(nil); tn != nil {
			t.Error("a turn was started after the stop")
		}
		wg.Wait()
	})
}

// No turn stays ready while a goroutine is idle that might run it.
func TestSlotsStrandNoTurn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const size = 16
		s, queues := newSlots(size, []int{3, 1})
		random := rand.New(rand.NewPCG(1, 2))
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		var running atomic.Int32
		var wg sync.WaitGroup
		owner := sync.Map{}
		for range size {
			wg.Go(func() {
				var done *share
				for {
					tn := s.next(done)
					if tn == nil {
						return
					}
					q, _ := owner.Load(tn)
					done = q.(*share)
					running.Add(1)
					select {
					case <-release:
					case <-ctx.Done():
					}
					running.Add(-1)
				}
			})
		}
		for range 500 {
			for range random.IntN(4) {
				q := queues[random.IntN(2)]
				ts := turns(1 + random.IntN(5))
				for _, tn := range ts {
					owner.Store(tn, q)
				}
				s.push(q, ts...)
			}
			synctest.Wait()
			idle := size - int(running.Load())
			for i, q := range queues {
				if ready, busy := s.load(q); ready > 0 && idle > 0 && busy < q.limit {
					t.Fatalf("queue %d has %d turns ready and %d slots used of %d while %d goroutines are idle", i, ready, busy, q.limit, idle)
				}
			}
			for range min(random.IntN(8), int(running.Load())) {
				release <- struct{}{}
			}
		}
		cancel()
		s.stop()
		wg.Wait()
	})
}

// Each turn is handed out exactly once, whoever races for it.
func TestSlotsUnderContention(t *testing.T) {
	const pushers, each = 4, 5000
	s, queues := newSlots(8, []int{2, 1})
	var served atomic.Int64
	all := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var done *share
			for {
				tn := s.next(done)
				if tn == nil {
					return
				}
				done = queues[tn.place]
				tn.bytes++
				if served.Add(1) == pushers*each {
					close(all)
				}
			}
		})
	}
	ts := make([][]*turn, pushers)
	for p := range pushers {
		ts[p] = turns(each)
		wg.Go(func() {
			for i, tn := range ts[p] {
				tn.place = uint64((p + i) % 2)
				s.push(queues[tn.place], tn)
			}
		})
	}
	<-all
	s.stop()
	wg.Wait()
	for _, tns := range ts {
		for _, tn := range tns {
			if tn.bytes != 1 {
				t.Fatalf("a turn was handed out %d times", tn.bytes)
			}
		}
	}
}

// occupy takes turns and holds each for a while, until the slots stop.
func occupy(s *slots, wg *sync.WaitGroup, hold func(*turn)) {
	wg.Go(func() {
		var done *share
		for {
			tn := s.next(done)
			if tn == nil {
				return
			}
			done = s.queues[0]
			hold(tn)
		}
	})
}

// A turn that must be alone waits for those that run, and no other starts until it lets them.
func TestSlotsAlone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, queues := newSlots(4, []int{1})
		var wg sync.WaitGroup
		var running atomic.Int32
		ts := turns(20)
		solo := ts[2]
		for range 4 {
			occupy(s, &wg, func(tn *turn) {
				if tn != solo {
					running.Add(1)
					time.Sleep(3 * time.Second)
					running.Add(-1)
					return
				}
				if !s.alone() {
					t.Error("it was not left alone")
					return
				}
				for range 60 {
					if got := running.Load(); got != 0 {
						t.Fatalf("%d run beside it", got)
					}
					time.Sleep(time.Second)
				}
				s.together()
			})
		}
		s.push(queues[0], ts...)
		time.Sleep(64 * time.Second)
		if got := running.Load(); got != 4 {
			t.Errorf("%d run after it, want 4", got)
		}
		time.Sleep(time.Minute)
		if ready, busy := s.load(queues[0]); ready != 0 || busy != 0 {
			t.Errorf("%d are ready and %d run in the end", ready, busy)
		}
		s.stop()
		wg.Wait()
	})
}

// To be alone fails when others don't end in time, when another turn is at it already, and at a stop; then the others go on.
func TestSlotsNotAlone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, queues := newSlots(3, []int{1})
		s.push(queues[0], turns(5)...)
		for range 2 {
			s.next(nil)
		}
		results := make(chan bool, 3)
		began := time.Now()
		go func() { results <- s.alone() }()
		synctest.Wait()
		if s.alone() {
			t.Error("two are alone")
		}
		if <-results {
			t.Error("it is alone beside another")
		}
		if took := time.Since(began); took != lonePatience {
			t.Errorf("it was patient for %v", took)
		}
		if s.next(nil) == nil {
			t.Error("the others don't go on")
		}
		go func() { results <- s.alone() }()
		synctest.Wait()
		s.stop()
		if <-results {
			t.Error("it is alone after the stop")
		}
	})
}
