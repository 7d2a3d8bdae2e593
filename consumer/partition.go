package consumer

import (
	"sync"
	"time"

	"github.com/tasktier/tasktier/internal/watermark"
)

// A partition is one assignment of a partition of Q.pending to this node. When it is revoked or lost it is closed for
// good; a later assignment of the same partition is a new value, with a new tracker. So a completion that comes late
// ends in a tracker that nobody commits from any more.
type partition struct {
	queue *queue
	id    int32

	mu      sync.Mutex
	tracker watermark.Tracker[*turn]
	// known is what the group knows of the partition, past is what earlier assignments finished above that (or nil), and
	// eras are the leader epochs of the log from the watermark on: see progress.go.
	known progress
	past  *watermark.Ranges
	eras  []era
	// forgotten: the tracker is empty, and whatever settles now is too late.
	forgotten bool
	// atWork counts turns that were started and are not settled.
	atWork int
	// closed: start nothing more.
	closed bool
	// idle is closed when the partition is closed and nothing is at work.
	idle chan struct{}
	// lanes holds, per ordering key with a turn on its way, the turns that wait behind it.
	lanes map[string][]*turn
	// aside holds the turns that wait for a time.
	aside map[*turn]*time.Timer
	// paused: not fetched until the span has shrunk.
	paused bool
}

func newPartition(q *queue, id int32) *partition {
	return &partition{
		queue: q,
		id:    id,
		known: untold,
		idle:  make(chan struct{}),
		lanes: make(map[string][]*turn),
		aside: make(map[*turn]*time.Timer),
	}
}

// enter lets a turn in whose begin said run: it may go to the slots now (true), or waits in its lane behind another of
// its key, or is dropped because the partition is closed.
func (p *partition) enter(t *turn) bool {
	if t.lane == "" {
		return true // a closed partition is noticed at start
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return true
	}
	behind, busy := p.lanes[t.lane]
	if busy {
		p.lanes[t.lane] = append(behind, t)
		return false
	}
	p.lanes[t.lane] = nil
	return true
}

// start says whether a turn may start. If so it counts as at work until it is settled or put aside.
func (p *partition) start() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.atWork++
	return true
}

// isClosed says whether nothing more is started.
func (p *partition) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// force starts a turn even if the partition is closed: one whose letter only this node can write.
func (p *partition) force() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.atWork++
}

// settle completes the turn's offset and returns the next turn of its lane, if one waits.
func (p *partition) settle(t *turn) (next *turn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.forgotten && !t.moved {
		p.tracker.Finish(t.place)
	}
	t.settled = true
	if t.lane != "" && !p.closed {
		if behind := p.lanes[t.lane]; len(behind) > 0 {
			next, p.lanes[t.lane] = behind[0], behind[1:]
		} else {
			delete(p.lanes, t.lane)
		}
	}
	p.rest()
	return next
}

// release ends the work on a turn whose offset must not be completed, and says whether it may start again here; else it
// will be delivered again.
func (p *partition) release() (open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest()
	return !p.closed
}

// rest takes one turn from those at work; p.mu is held.
func (p *partition) rest() {
	p.atWork--
	p.resting()
}

// resting closes idle, once; p.mu is held.
func (p *partition) resting() {
	if !p.closed || p.atWork > 0 {
		return
	}
	select {
	case <-p.idle: // what was buried after the end has rested too
	default:
		close(p.idle)
	}
}

// putAside lets a turn wait, taking no slot, and calls resume after d. Its lane waits with it. It returns false when the
// partition is closed: the turn is dropped. started says that the turn is at work until now.
func (p *partition) putAside(t *turn, d time.Duration, started bool, resume func(*turn)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if started {
		p.rest()
	}
	if p.closed {
		return false
	}
	p.aside[t] = time.AfterFunc(d, func() {
		p.mu.Lock()
		_, waits := p.aside[t]
		delete(p.aside, t)
		p.mu.Unlock()
		if waits {
			resume(t)
		}
	})
	return true
}

// hurry ends the waiting of a turn that is aside.
func (p *partition) hurry(t *turn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if timer, waits := p.aside[t]; waits {
		timer.Reset(0) // should it run off now, the turn is found gone from here
	}
}

// close starts nothing more and returns the turns that waited aside and in lanes: they are dropped. p.idle is closed
// when the last turn at work is settled.
func (p *partition) close() (dropped []*turn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	for t, timer := range p.aside {
		timer.Stop()
		dropped = append(dropped, t)
	}
	clear(p.aside)
	for _, behind := range p.lanes {
		dropped = append(dropped, behind...)
	}
	clear(p.lanes)
	p.resting()
	return dropped
}
