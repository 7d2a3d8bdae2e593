package history

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/tasktier/tasktier/claim"
)

// A run is a handler that was started.
type run struct {
	process       *process
	generation    int32
	turn, attempt int32
	outcome       Outcome
	start, end    Moment // end 0: it was not seen to return
	recorded      Moment // when its node was told that its end is recorded; 0: never, or nobody says so
	fence, slot   int64
	cause         string
}

// An answer is what a run's handler told its node, as that understands it.
type answer uint8

const (
	nothing   answer = iota // it did not return
	success                 // counts unless somebody else has begun the task since
	failure                 // an attempt is used
	permanent               // it is to die
	snooze
	back     // the context had ended because the node gave up: neither success nor failure, the turn begins again
	withdraw // the context had ended because the task was canceled
)

// answer judges how a run ended. A context that had ended makes an error something else, but for a timeout's.
func (r *run) answer() answer {
	canceled := strings.Contains(r.cause, claim.ErrCanceled.Error())
	switch {
	case r.end == 0:
		return nothing
	case r.outcome == Succeeded:
		return success
	case r.cause != "" && !canceled && !strings.Contains(r.cause, context.DeadlineExceeded.Error()):
		return back
	case r.outcome == Permanent:
		return permanent
	case canceled:
		return withdraw
	case r.outcome == Snoozed:
		return snooze
	default:
		return failure
	}
}

// before says whether the run is of an earlier turn than (g,t).
func (r *run) before(g, t int32) bool { return r.generation < g || r.generation == g && r.turn < t }

// endedBy says whether it had returned at a moment.
func (r *run) endedBy(at Moment) bool { return r.end != 0 && r.end <= at }

// lost is a loss of the process's session that the run may have been in flight at; nil if there is none.
func (w *world) lost(r *run) *loss {
	until := Moment(0) // once it is asked for
	for i := range r.process.losses {
		l := &r.process.losses[i]
		if r.start > l.to {
			continue
		}
		if r.end == 0 || l.from <= r.end {
			return l
		}
		if until == 0 {
			until = w.deadline(r)
		}
		if l.from <= until {
			return l
		}
	}
	return nil
}

// died says whether the run may have been in flight when its process ended.
func (w *world) died(r *run) bool {
	p := r.process
	if !p.died && !p.stopped || r.start > p.death.to {
		return false
	}
	if r.end == 0 {
		return true
	}
	until := w.deadline(r)
	if p.stopped && until == r.end.Add(w.rules.Unrecorded) {
		return false // it had all the time that it needed
	}
	return p.death.from <= until
}

// follows says whether run b follows run a of the same task by the protocol: a had returned, and what it told leads to b.
func follows(a, b *run, ordered bool) bool {
	told := a.answer()
	switch {
	case !a.endedBy(b.start):
		return false
	case b.generation != a.generation:
		return b.generation > a.generation && told != success
	case b.turn < a.turn:
		return false
	case told == back:
		return b.turn > a.turn || b.attempt >= a.attempt
	case b.turn > a.turn:
		return told == failure || told == snooze || told == withdraw
	case told == failure:
		return ordered && b.attempt > a.attempt // in place
	case told == snooze:
		return ordered && b.attempt >= a.attempt
	default:
		return false
	}
}

// byStart puts runs in the order in which they were started.
func byStart(runs []run) {
	slices.SortStableFunc(runs, func(a, b run) int { return cmp.Compare(a.start, b.start) })
}
