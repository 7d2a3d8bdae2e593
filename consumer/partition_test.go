package consumer

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv/bubble"
)

// admitted returns a turn of the partition that has its place in the tracker.
func admitted(p *partition, offset int64, lane string) *turn {
	t := &turn{part: p, lane: lane}
	t.place, _ = p.tracker.Add(offset, t)
	return t
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// A partition that was taken away starts nothing, wherever its turns are at that moment, and is idle when the last one at
// work has ended, in whichever way.
func TestClosedPartition(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPartition(nil, 0)
		never := func(*turn) { t.Error("a turn was resumed after its partition was closed") }
		settles, releases, snoozes := admitted(p, 0, ""), admitted(p, 1, ""), admitted(p, 2, "")
		for range 3 {
			if !p.start() {
				t.Fatal("an open partition starts nothing")
			}
		}
		head, behind := admitted(p, 3, "key"), admitted(p, 4, "key")
		if !p.enter(head) || p.enter(behind) {
			t.Fatal("of two turns of a key the first may go and the second waits")
		}
		aside := admitted(p, 5, "")
		if !p.putAside(aside, time.Minute, false, never) {
			t.Fatal("an open partition refuses to wait")
		}

		dropped := p.close()
		if len(dropped) != 2 || !slices.Contains(dropped, behind) || !slices.Contains(dropped, aside) {
			t.Errorf("closing dropped %d turns, want the one in a lane and the one aside", len(dropped))
		}
		if again := p.close(); again != nil {
			t.Errorf("closing again dropped %d turns", len(again))
		}
		if p.start() {
			t.Error("a closed partition started a turn")
		}
		if p.putAside(admitted(p, 6, ""), time.Second, false, never) {
			t.Error("a closed partition keeps a turn aside")
		}
		if !p.enter(admitted(p, 7, "key")) {
			t.Error("a closed partition lets a turn wait in a lane that nobody will move")
		}

		p.settle(settles)
		p.release() // of releases
		_ = releases
		if closed(p.idle) {
			t.Error("idle while a turn is at work")
		}
		if p.putAside(snoozes, time.Second, true, never) {
			t.Error("a closed partition keeps a snoozing turn")
		}
		if !closed(p.idle) {
			t.Error("not idle although nothing is at work")
		}
		time.Sleep(time.Hour)
	})
}

// A turn whose time comes while its partition is closed is resumed or dropped, never both and never neither.
func TestClosingRacesWithTimers(t *testing.T) {
	for range 200 {
		p := newPartition(nil, 0)
		var resumed atomic.Int32
		var fired sync.WaitGroup
		const n = 20
		for i := range n {
			p.putAside(admitted(p, int64(i), ""), time.Duration(i)*10*time.Microsecond, false, func(*turn) { resumed.Add(1) })
		}
		dropped := 0
		fired.Go(func() { dropped = len(p.close()) })
		fired.Wait()
		// Timers that fired before the close may still be on their way to resume.
		for end := time.Now().Add(5 * time.Second); int(resumed.Load())+dropped < n && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if got := int(resumed.Load()) + dropped; got != n {
			t.Fatalf("%d of %d turns were resumed or dropped", got, n)
		}
	}
}
