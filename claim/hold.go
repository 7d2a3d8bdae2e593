package claim

import (
	"sync"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/task"
)

// A Hold is one turn's dealing with its claim: from Begin to the answer of its last Finish or Release. Its owner makes it
// with Task and Of, asks one thing at a time, and asks the next only after the answer.
type Hold struct {
	// Task is the turn's task. Queue, Source and ID name the claim; Generation, Turn and Attempt say which turn it is.
	Task *task.Task
	// Of is the owner's own.
	Of any

	key     Key
	name    string // of the claim in Redis
	lease   *lease.Lease
	known   bool // the session was registered when the run began; else its trust is not the run's
	lot     *lot // the turns that it was begun with
	entered bool // in the book's register
	op      op
	next    *Claim       // what op is to write; others may share it
	found   *Claim       // the claim of another that next replaces; nil: none
	done    func(Result) // of the Finish or Release in flight

	mu     sync.Mutex
	have   Claim  // the claim of our run; State 0: none was won
	text   string // have, as Redis should show it, unless it was away; "" without one
	asking bool   // a call for this hold is in flight

	told *Details // what the handler told of its progress, and is not written yet
}

// Attempt is the attempt that the claim knows of; at least the record's.
func (h *Hold) Attempt() int { return h.claim().Attempt }

// Fence is the run's fencing token: it grows with every run of the task.
func (h *Hold) Fence() int64 { return h.claim().Fence }

// Crashes is how many processes died while they ran the task.
func (h *Hold) Crashes() int { return h.claim().Crashes }

// Won says whether the claim says that this hold's turn runs, or is being buried, and nobody has been told of its end.
func (h *Hold) Won() bool {
	state, _ := h.shows()
	return state == Running || state == Dying
}

// Runs says whether the claim says that this hold's turn runs.
func (h *Hold) Runs() bool {
	state, _ := h.shows()
	return state == Running
}

// Over says whether the session that the hold was won under has ended: nothing may be started under it any more.
func (h *Hold) Over() bool {
	select {
	case <-h.lease.Done():
		return true
	default:
		return false
	}
}

// trusted says whether the run may write where its claim is missing: nobody can have taken it for gone, now or ever since
// it began.
func (h *Hold) trusted() bool { return h.known && h.lease.Trusted() }

// Lease is the session that the hold was won under.
func (h *Hold) Lease() *lease.Lease { return h.lease }

// Canceled says whether the task was, by an operator: before or while it ran.
func (h *Hold) Canceled() bool {
	state, flags := h.shows()
	return state == Canceled || state == Running && flags&CancelAsked != 0
}

// shows is what the claim says that changes in the course of a run.
func (h *Hold) shows() (State, Flags) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.have.State, h.have.Flags
}

func (h *Hold) claim() Claim {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.have
}

// A Window says how long the claims of a queue are kept.
type Window struct {
	// Minted is for finished tasks whose id is a UUIDv7, as our producers mint them. Default 1 h.
	Minted time.Duration
	// Chosen is for finished tasks with other ids. Default 24 h.
	Chosen time.Duration
	// Longest is the longest delay that a task may have: what must outlive every record of a task is kept so much longer.
	// Default 1 year.
	Longest time.Duration
}

func (w Window) withDefaults() Window {
	if w.Minted <= 0 {
		w.Minted = time.Hour
	}
	if w.Chosen <= 0 {
		w.Chosen = 24 * time.Hour
	}
	if w.Longest <= 0 {
		w.Longest = 365 * 24 * time.Hour
	}
	return w
}

// atWork is how long a claim is kept that says running or dying. Its owner refreshes it long before, and writes it anew if
// it expired while Redis was away; when the owner is gone, whoever gets the record next steals it. It also ends a claim
// that a fail-over of Redis brought back, in the name of a living owner who is done with it.
const atWork = 30 * time.Minute

// A run that ends within quick of its begin finds its claim kept for so much longer than its outcome must be that the expiry
// can stay as it is: where the window is at most briefly.
const (
	quick   = time.Minute
	briefly = 2 * time.Hour
)

// keep is how long a claim is kept in Redis from now.
func (w Window) keep(c Claim, id string, now time.Time) time.Duration {
	window := w.Chosen
	if minted(id) {
		window = w.Minted
	}
	switch {
	case c.State == Running || c.State == Dying:
		if window <= briefly {
			return max(atWork, window+quick)
		}
		return atWork
	case c.State.waits():
		return max(c.Time().Sub(now), 0) + window
	case c.Flags&TakenOver != 0, c.Generation == AllGenerations:
		return w.Longest + window // a record of the task may still be on its way
	default:
		return window
	}
}

// lasts says whether the expiry that the claim of a run was given suits what follows it, which is to be kept for keep: then
// it need not be set anew.
func (w Window) lasts(run Claim, keep time.Duration, id string, now time.Time) bool {
	given, ran := w.keep(run, id, now), now.Sub(time.UnixMicro(run.Fence))
	return run.State == Running && run.Flags&CancelAsked == 0 && ran >= 0 && keep+ran <= given && given <= keep+quick
}

// minted says whether id looks like a UUIDv7.
func minted(id string) bool {
	return len(id) == 36 && id[14] == '7' && id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-'
}
