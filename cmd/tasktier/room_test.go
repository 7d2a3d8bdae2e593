package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/tasktier/tasktier/internal/testenv/bubble"
)

func TestRoomBoundsWhatIsUnderWay(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRoom(10)
		if r.take(t.Context(), 7) != nil {
			t.Fatal("there was room")
		}
		took := make(chan error, 1)
		go func() { took <- r.take(t.Context(), 4) }()
		synctest.Wait()
		if len(took) != 0 {
			t.Fatal("took more than there is")
		}
		r.give(7)
		if err := <-took; err != nil {
			t.Fatal(err)
		}
		r.give(4)
		// What is larger than the room has it all, or it would wait for ever.
		if err := r.take(t.Context(), 25); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { took <- r.take(ctx, 1) }()
		synctest.Wait()
		cancel()
		if err := <-took; !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the end of its context", err)
		}
	})
}
