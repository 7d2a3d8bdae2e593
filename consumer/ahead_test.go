package consumer

import (
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv/bubble"
)

// begging makes slots whose begs are noted and not answered.
func begging(size int, weights ...int) (s *slots, begged func() [][]*turn) {
	s, _ = newSlots(size, weights)
	var mu sync.Mutex
	var all [][]*turn
	s.beg = func(_ *share, ts []*turn) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, ts)
	}
	return s, func() [][]*turn {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

func count(batches [][]*turn) (n int) {
	for _, b := range batches {
		n += len(b)
	}
	return n
}

// As many turns are begged for as there are free slots, in one go; what has none stays ready, for other nodes to have.
func TestWishForFreeSlotsOnly(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, begged := begging(10, 1)
		s.push(s.queues[0], turns(100)...)
		if got := begged(); len(got) != 1 || len(got[0]) != 10 {
			t.Fatalf("%d turns were begged for in %d batches, want 10 in one", count(got), len(got))
		}
		s.win(s.queues[0], begged()[0]...)
		s.answered(s.queues[0], 10)
		for range 10 {
			s.next(nil)
		}
		if got := count(begged()); got != 10 {
			t.Errorf("%d were begged for when all slots are full, want the 10 that run", got)
		}
		time.Sleep(time.Second)
		s.free(s.queues[0])
		s.push(s.queues[0], turns(1)...)
		if got := count(begged()); got != 11 {
			t.Errorf("%d were begged for when one slot came free, want 11", got)
		}
	})
}

// What was refused makes room for the next.
func TestWishAfterARefusal(t *testing.T) {
	s, begged := begging(4, 1)
	s.push(s.queues[0], turns(10)...)
	s.answered(s.queues[0], 4) // held, or done: none was won
	if got := count(begged()); got != 8 {
		t.Errorf("%d were begged for, want 4 and 4 more", got)
	}
}

// A queue that is quick has what it will start in the next moment begun ahead; one that has become slow, nothing after the
// moment is over.
func TestWishAheadAtThePace(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, begged := begging(2, 1)
		q := s.queues[0]
		s.push(q, turns(10_000)...)
		seen := 0
		answer := func() {
			for ; seen < len(begged()); seen++ {
				ts := begged()[seen]
				s.win(q, ts...)
				s.answered(q, len(ts))
			}
		}
		var done *share
		for range 4000 { // 20 turns a millisecond, in one slot
			answer()
			s.next(done)
			done = q
			time.Sleep(50 * time.Microsecond)
		}
		ahead := q.won.len() + q.pace.asking
		if want := int(paceSpan / (50 * time.Microsecond)); ahead < want/2 || ahead > want+2 {
			t.Errorf("%d turns are begun ahead, want up to %d", ahead, want)
		}
		if got := len(begged()); got > 100 {
			t.Errorf("%d batches for 4000 turns", got)
		}
		for ahead > 0 { // now each takes a second
			s.next(done)
			time.Sleep(time.Second)
			answer()
			if now := q.won.len() + q.pace.asking; now > ahead {
				t.Fatalf("%d are begun ahead of slow turns, after %d", now, ahead)
			} else {
				ahead = now
			}
			if ahead <= 2 {
				break
			}
		}
	})
}

// Turns that were won before the stop are given back by it, and later ones refused.
func TestStopGivesBackWhatWasWon(t *testing.T) {
	s, begged := begging(4, 1)
	q := s.queues[0]
	s.push(q, turns(10)...)
	won := begged()[0]
	if !s.win(q, won[:3]...) {
		t.Fatal("refused")
	}
	if got := s.stop(); len(got) != 3 {
		t.Errorf("%d are given back, want 3", len(got))
	}
	if s.win(q, won[3]) || s.push(q, turns(1)...) {
		t.Error("a turn was taken after the stop")
	}
	s.answered(q, 4)
	if got := count(begged()); got != 4 {
		t.Errorf("%d were begged for, want none after the stop", got-4)
	}
}

// A partition that is taken away takes its turns with it, begun or not.
func TestDropTakesWhatWasWon(t *testing.T) {
	s, begged := begging(4, 1)
	q := s.queues[0]
	mine := new(partition)
	ts := turns(10)
	for _, tn := range ts {
		tn.part = mine
	}
	s.push(q, ts...)
	s.win(q, begged()[0]...)
	s.answered(q, 4)
	if got := s.drop(q, mine); len(got) != 10 {
		t.Errorf("%d are dropped, want 6 that were ready and 4 that were won", len(got))
	}
}
