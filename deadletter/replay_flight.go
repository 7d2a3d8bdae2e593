package deadletter

import (
	"context"
	"sync"
)

const (
	// maxFlight and maxFlightBytes bound the letters of a replay that are in memory: read, and not yet settled. A single
	// letter may be larger.
	maxFlight      = 16 << 10
	maxFlightBytes = 64 << 20
)

// A flight counts the letters that are in memory, and those of them that have been sent.
type flight struct {
	mu      sync.Mutex
	letters int
	bytes   int
	sent    int
	changed chan struct{} // closed when there is less; nil while nobody waits for that
}

func newFlight() *flight { return &flight{} }

// until waits until holds, which is called under the lock, or ctx ends.
func (f *flight) until(ctx context.Context, holds func() bool) error {
	for {
		f.mu.Lock()
		if holds() {
			f.mu.Unlock()
			return nil
		}
		if f.changed == nil {
			f.changed = make(chan struct{})
		}
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// less tells those who wait; f.mu is held.
func (f *flight) less() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// take lets a letter in when there is room.
func (f *flight) take(ctx context.Context, l *Letter) error {
	return f.until(ctx, func() bool { return f.enter(l) })
}

// try is take for those who don't wait.
func (f *flight) try(l *Letter) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.enter(l)
}

func (f *flight) enter(l *Letter) bool {
	n := l.Bytes()
	if f.letters > 0 && (f.letters == maxFlight || f.bytes+n > maxFlightBytes) {
		return false
	}
	f.letters++
	f.bytes += n
	return true
}

// land lets letters out that were not sent.
func (f *flight) land(letters ...*Letter) {
	if len(letters) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range letters {
		f.letters--
		f.bytes -= l.Bytes()
	}
	f.less()
}

// depart notes that a letter that is in is under way.
func (f *flight) depart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent++
}

// arrive lets a letter out that was under way.
func (f *flight) arrive(l *Letter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent--
	f.letters--
	f.bytes -= l.Bytes()
	f.less()
}

// empty waits until nothing is under way.
func (f *flight) empty(ctx context.Context) error {
	return f.until(ctx, func() bool { return f.sent == 0 })
}

// under is how many letters are under way.
func (f *flight) under() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}
