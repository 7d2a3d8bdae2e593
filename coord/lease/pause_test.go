package lease

import (
	"context"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv/bubble"
)

// A process that was stopped past its trust and goes on finds the time over, and its timers not fired yet.
func TestPausedPastItsTrust(t *testing.T) {
	const ttl = 10 * time.Second
	paused := func(l *Lease) {
		l.Trust(time.Now().Add(ttl))
		l.timer.Stop()
		time.Sleep(ttl)
	}
	t.Run("is not trusted before the timer has fired", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			l := New("a")
			paused(l)
			if l.Trusted() {
				t.Error("it is trusted")
			}
			l.timer.Reset(0)
			<-l.Done()
		})
	})
	t.Run("is not saved by a confirmation that comes before the timer", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			l := New("a")
			paused(l)
			l.Trust(time.Now().Add(ttl))
			if l.Trusted() {
				t.Error("it is trusted")
			}
			<-l.Done()
			if cause := context.Cause(l.Context()); cause != ErrExpired {
				t.Errorf("ended by %v", cause)
			}
		})
	})
}
