package retry

import (
	"time"

	"github.com/tasktier/tasktier/internal/tier"
	"github.com/tasktier/tasktier/internal/watermark"
)

// A slot is a partition of a tier that is assigned to this node, and its slot that is open or was open last. It belongs
// to the forwarder's goroutine.
type slot struct {
	tier      tier.Tier
	hour      bool
	topic     string
	partition int32

	start     time.Time // of the slot that is open, or opens next
	committed int64     // the group's offset; the beginning of the log if it has none
	progress  mark      // what is forwarded, for the group's metadata
	dirty     bool      // there is something to commit
	leaving   bool      // being given back: nothing more is forwarded

	opening *opening // nil while closed
}

// An opening is what is known of a partition while it is read. The reading has several passes if records had to be dropped
// for want of memory.
type opening struct {
	slot    *slot
	tracker watermark.Tracker[struct{}]
	done    mark           // what was forwarded before: by a predecessor, or in the last lap
	wait    heap           // what is due later
	flying  map[*item]bool // produced and not acknowledged
	pass    int            // the number of the pass
	upTo    int64          // the offset behind what the pass has read
	floor   mark           // from here on, the pass kept nothing
	below   mark           // the floor of the pass before: what this one is to read again lies there and behind
	held    bool           // records of a lap to come were seen
	end     int64          // the log's end when it was looked at last
	checked time.Time      // when that was
	looking bool           // it is being looked at
	stop    func()         // ends the pass's reader
}

func newOpening(s *slot) *opening {
	return &opening{slot: s, done: s.progress, upTo: s.committed, floor: everything, below: everything, flying: make(map[*item]bool), stop: func() {}}
}

// closes is when the slot that is open may be closed.
func (s *slot) closes() time.Time { return s.start.Add(s.tier.OpenFor) }

// opens is when the slot opens.
func (s *slot) opens() time.Time { return s.start.Add(-s.tier.Lead) }

// end is the end of the slot in Unix milliseconds: what it holds is due before that.
func (s *slot) end() int64 { return s.start.Add(s.tier.Slot).UnixMilli() }

// closed notes that everything below offset that is due in the slot is forwarded, also if there was nothing: what is
// written to it now is of a lap to come, and no reason to open it before.
func (s *slot) closed(offset int64) {
	s.progress = mark{offset, s.end(), 0}
}

// early is how long before its due a record leaves the slot.
func (s *slot) early() time.Duration {
	if s.hour {
		return tier.Minute.Horizon // for the minute tier
	}
	return 0
}

// over says whether the slot's time is past and everything in it was read.
func (o *opening) over() bool { return o.checked.After(o.slot.closes()) && o.upTo >= o.end }

// caughtUp says whether the pass has read as far as the one before it.
func (o *opening) caughtUp() bool { return o.upTo >= o.tracker.Next() }

// atEnd says whether the pass has read to the end, should the log have lost its own.
func (o *opening) atEnd() bool { return !o.checked.IsZero() && o.upTo >= o.end }

// nextPass forgets what the pass was, and returns the offset where the next one begins.
func (o *opening) nextPass() (from int64) {
	if o.caughtUp() {
		o.below = o.floor
	} else {
		o.below = o.below.or(o.floor.due, o.floor.at)
	}
	o.pass++
	o.floor, o.upTo, o.checked = everything, max(o.tracker.Offset(), 0), time.Time{}
	return o.upTo
}

// more says whether all that was kept is forwarded, and there is something that was not kept.
func (o *opening) more() bool { return o.floor != everything && o.idle() }

// idle says whether nothing that was read is left to forward.
func (o *opening) idle() bool { return o.wait.len() == 0 && len(o.flying) == 0 }

// forwarded is the progress to commit: up to the first record that is not acknowledged. An open slot is never said to be
// forwarded to its end, though nothing waits in it now: that it is closed is what the end says.
func (o *opening) forwarded() mark {
	m := mark{o.tracker.Next(), o.slot.end() - 1, 0}.or(o.floor.due, o.floor.at)
	if !o.caughtUp() {
		m = m.or(o.below.due, o.below.at)
	}
	if top := o.wait.top(); top != nil {
		m = m.or(top.due, top.offset)
	}
	for it := range o.flying {
		m = m.or(it.due, it.offset)
	}
	return m
}
