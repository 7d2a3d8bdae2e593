package main

import (
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A bar shows progress on stderr if that is a terminal, and else nothing: its methods do no more than run what they are
// given then. It is safe for concurrent use.
type bar struct {
	mu    sync.Mutex
	shown *progressbar.ProgressBar // nil: none
	done  int                      // since it was drawn
	drawn time.Time
}

// redraw is how often a bar is drawn at most while nothing else is written.
const redraw = 100 * time.Millisecond

// newBar begins a bar up to whole, which is -1 if that is not known.
func (c *cli) newBar(what string, whole int64, bytes bool) *bar {
	if c.quiet || !terminal(c.stderr) {
		return &bar{}
	}
	return &bar{shown: progressbar.NewOptions64(whole,
		progressbar.OptionSetWriter(c.stderr),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowBytes(bytes),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(),
	)}
}

func (b *bar) add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done += n; b.shown != nil && time.Since(b.drawn) >= redraw {
		b.draw()
	}
}

// visible says whether there is a bar on a terminal.
func (b *bar) visible() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shown != nil
}

// draw draws the bar as it stands now; b.mu is held.
func (b *bar) draw() {
	b.shown.Add(b.done) //nolint:errcheck // a bar that can't be drawn is no reason to stop
	b.done, b.drawn = 0, time.Now()
}

// around runs f, which writes lines to the terminal, while the bar is out of the way.
func (b *bar) around(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown == nil {
		f()
		return
	}
	b.shown.Clear() //nolint:errcheck // as above
	f()
	b.draw()
}

// finish takes the bar away.
func (b *bar) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown != nil {
		b.shown.Finish() //nolint:errcheck // as above
		b.shown = nil
	}
}
