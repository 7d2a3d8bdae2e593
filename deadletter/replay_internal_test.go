package deadletter

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestPace(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPace(10)
		began := time.Now()
		for i := range 31 {
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, want := time.Since(began), time.Duration(i)*100*time.Millisecond; got != want {
				t.Fatalf("letter %d after %v, want %v", i, got, want)
			}
		}
		time.Sleep(time.Hour) // what was missed meanwhile is not made good at once
		began = time.Now()
		for range 11 {
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 900*time.Millisecond {
			t.Errorf("11 letters after a pause took %v", took)
		}
		enough := errors.New("enough")
		ctx, end := context.WithCancelCause(t.Context())
		end(enough)
		if err := p.wait(ctx); !errors.Is(err, enough) {
			t.Errorf("error %v", err)
		}
	})
}

func TestPaceWithoutBound(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p, began := newPace(0), time.Now()
		for range 1000 {
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func letterOf(bytes int) *Letter { return &Letter{Record: &kgo.Record{Value: make([]byte, bytes)}} }

// What is in memory is bounded by number and by bytes, but for a single letter.
func TestFlight(t *testing.T) {
	f := newFlight()
	huge := letterOf(maxFlightBytes + 1)
	if !f.try(huge) || f.try(letterOf(0)) {
		t.Error("a letter that is larger than all has the flight for itself")
	}
	f.land(huge)
	half, other := letterOf(maxFlightBytes/2), letterOf(maxFlightBytes/2)
	if !f.try(half) || !f.try(other) || f.try(letterOf(1)) {
		t.Error("bytes are not bounded")
	}
	f.land(half, other)
	small := letterOf(1)
	n := 0
	for f.try(small) {
		n++
	}
	if n != maxFlight {
		t.Errorf("%d letters fit", n)
	}
	ctx, end := context.WithCancel(t.Context())
	end()
	if err := f.take(ctx, small); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestFlightWaits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFlight()
		l := letterOf(maxFlightBytes)
		f.try(l)
		f.depart()
		in := make(chan error)
		go func() { in <- f.take(t.Context(), l) }()
		gone := make(chan error)
		go func() { gone <- f.empty(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-in:
			t.Errorf("there is no room: %v", err)
		case err := <-gone:
			t.Errorf("one is under way: %v", err)
		default:
		}
		f.arrive(l)
		if err := errors.Join(<-in, <-gone); err != nil {
			t.Error(err)
		}
		if f.letters != 1 || f.bytes != maxFlightBytes || f.under() != 0 {
			t.Errorf("%+v", f)
		}
	})
}

// A lot is bounded by its number and its bytes, but for a letter that is larger than all.
func TestFirstLot(t *testing.T) {
	for _, tt := range []struct {
		places, size, want int
	}{{0, 1, 0}, {maxLetters, 1, maxLetters}, {maxLetters + 1, 1, maxLetters}, {5, maxLot / 4, 4}, {2, maxLot + 1, 1}} {
		places := make([]place, tt.places)
		for i := range places {
			places[i].size = uint32(tt.size)
		}
		if got := len(firstLot(places)); got != tt.want {
			t.Errorf("of %d letters of %d bytes %d are the first lot, want %d", tt.places, tt.size, got, tt.want)
		}
	}
}

// Whether the replay stops is said when no later end can change it, and by the timeout at the latest.
func TestCanaryIsClear(t *testing.T) {
	c := newCanary(Canary{Letters: 20, StopAt: 10})
	for _, tt := range []struct {
		dead, waiting int
		late          bool
		stop, on      bool
	}{
		{0, 20, false, false, false},
		{0, 2, false, false, false},
		{0, 1, false, false, true},
		{1, 0, false, false, true},
		{1, 1, false, false, false},
		{1, 1, true, true, false},
		{2, 18, false, true, false},
		{0, 2, true, true, false},
		{0, 1, true, false, true},
		{0, 0, true, false, true},
	} {
		stop, on := c.clear(CanaryResult{Letters: 20, Dead: tt.dead, Waiting: tt.waiting, Succeeded: 20 - tt.dead - tt.waiting}, tt.late)
		if stop != tt.stop || on != tt.on {
			t.Errorf("%d dead, %d waiting, late %v: stop %v, go on %v", tt.dead, tt.waiting, tt.late, stop, on)
		}
	}
}
