package consumer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/internal/testenv/bubble"
)

func TestWindowOpensAtAQuarter(t *testing.T) {
	tests := []struct {
		name          string
		max           int
		maxBytes      int64
		charge        int
		chargeBytes   int64
		release       int // records that leave one by one while it stays shut
		releaseBytes  int64
		room          int // after one more has left
		lastLeaveSize int64
	}{
		{name: "by count", max: 100, maxBytes: 1 << 20, charge: 100, release: 24, room: 25},
		{name: "one poll above the count", max: 100, maxBytes: 1 << 20, charge: 120, release: 44, room: 25},
		{name: "by bytes", max: 100, maxBytes: 1000, charge: 10, chargeBytes: 1000, release: 2, releaseBytes: 100, room: 93, lastLeaveSize: 100},
		{name: "a single record", max: 1, maxBytes: 1 << 20, charge: 1, release: 0, room: 1},
		{name: "three records", max: 3, maxBytes: 1 << 20, charge: 3, release: 0, room: 1},
		{name: "a record larger than the window", max: 10, maxBytes: 100, charge: 1, chargeBytes: 5000, release: 0, room: 10, lastLeaveSize: 5000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := newWindow(tt.max, tt.maxBytes)
				w.charge(tt.charge, tt.chargeBytes)
				got := make(chan int, 1)
				go func() { got <- w.wait(t.Context()) }()
				for range tt.release {
					w.release(1, tt.releaseBytes)
					synctest.Wait()
				}
				synctest.Wait()
				if len(got) > 0 {
					t.Fatalf("opened with room for %d before a quarter was free", <-got)
				}
				w.release(1, tt.lastLeaveSize)
				synctest.Wait()
				select {
				case room := <-got:
					if room != tt.room {
						t.Errorf("room for %d, want %d", room, tt.room)
					}
				default:
					t.Fatal("still shut with a quarter free")
				}
			})
		})
	}
}

func TestWindowIsOpenAtFirst(t *testing.T) {
	if room := newWindow(7, 1).wait(t.Context()); room != 7 {
		t.Errorf("room for %d in a window of 7", room)
	}
}

func TestWindowWaitEndsWithItsContext(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWindow(1, 1)
		w.charge(1, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if room := w.wait(ctx); room != 0 {
			t.Errorf("room for %d in a full window", room)
		}
	})
}

// A token that is left over from an earlier opening opens nothing.
func TestWindowIgnoresAStaleToken(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWindow(4, 1000)
		w.charge(4, 0)
		w.release(4, 0) // leaves its token: nobody waits
		w.charge(4, 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if room := w.wait(ctx); room != 0 {
			t.Errorf("room for %d in a full window", room)
		}
	})
}
