package lease

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Why a lease is done: the causes of its [Lease.Context].
var (
	// ErrExpired says that nobody extended the trust before it ran out.
	ErrExpired = errors.New("trust in the session has run out")
	// ErrEnded says that End was called.
	ErrEnded = errors.New("session has ended")
)

// A Lease is one session of this process. It is safe for concurrent use.
type Lease struct {
	id   string
	born time.Time // what until counts from

	until atomic.Int64 // the end of the trust in nanoseconds after born; never and over are not times

	mu    sync.Mutex  // held to change until
	timer *time.Timer // ends the lease; nil before the first trust. It may fire early, never late

	ctx    context.Context
	cancel context.CancelCauseFunc
}

const (
	never = 0             // no trust yet
	over  = math.MinInt64 // done
)

// New returns a lease that has no trust yet. It holds nothing that must be released unless trust is given, and then
// until that has run out or End is called.
func New(id string) *Lease {
	l := &Lease{id: id, born: time.Now()}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	return l
}

// ID is the session's id, under which others know it.
func (l *Lease) ID() string { return l.id }

// Trust extends the trust to until, a time that was derived from [time.Now] in this process: one that lost its monotonic
// reading, as all do that come from elsewhere, is some wall clock's and is ignored. So is one that is over already, one
// earlier than the trust that was given, and everything after the lease is done.
func (l *Lease) Trust(until time.Time) {
	if monotonic(l.born) && !monotonic(until) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now, given, next := l.now(), l.until.Load(), int64(until.Sub(l.born))
	switch {
	case given == over:
	case given != never && given <= now:
		l.end(ErrExpired) // the timer is late
	case next > given && next > now:
		l.until.Store(next)
		if l.timer == nil {
			l.timer = time.AfterFunc(time.Duration(next-now), l.expire)
		}
	}
}

// Trusted says whether others still count on this session: that the trust was given, has not run out and the lease was
// not ended. It costs a look at the clock.
func (l *Lease) Trusted() bool { return l.now() < l.until.Load() }

// End ends the lease at once. Further calls do nothing.
func (l *Lease) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(ErrEnded)
}

// Done is closed when the trust has run out or End was called. For a lease without trust only End does.
func (l *Lease) Done() <-chan struct{} { return l.ctx.Done() }

// Context ends with the lease; its cause is then [ErrExpired] or [ErrEnded]. It is one context for all callers: join it
// to another one with [context.AfterFunc], which takes no goroutine while it waits.
func (l *Lease) Context() context.Context { return l.ctx }

// expire ends the lease, unless the trust was extended since the timer was set.
func (l *Lease) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	given := l.until.Load()
	if given == over {
		return
	}
	if left := given - l.now(); left > 0 {
		l.timer.Reset(time.Duration(left))
		return
	}
	l.end(ErrExpired)
}

func (l *Lease) end(cause error) {
	l.until.Store(over)
	if l.timer != nil {
		l.timer.Stop()
	}
	l.cancel(cause)
}

// now is the time since the lease was made.
func (l *Lease) now() int64 { return int64(time.Since(l.born)) }

// monotonic says whether t can be compared without the wall clock. Rounding to nothing strips what makes it so.
func monotonic(t time.Time) bool { return t != t.Round(0) }
