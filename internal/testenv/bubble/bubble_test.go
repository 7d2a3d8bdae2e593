package bubble

import (
	"sync"
	"testing"
	"time"
)

// TestTimersOfABubble: the race detector lives through timers that are due and asked for by many. With synctest.Test it
// crashes in a moment, if there is more than one processor.
func TestTimersOfABubble(t *testing.T) {
	Test(t, func(t *testing.T) {
		var asking sync.WaitGroup
		for range 8 {
			asking.Go(func() {
				for range 2000 {
					timer := time.NewTimer(0)
					select {
					case <-timer.C:
					case <-time.After(0):
					}
				}
			})
		}
		asking.Wait()
	})
}
