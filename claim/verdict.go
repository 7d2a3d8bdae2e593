package claim

import "time"

// A Verdict is what begin says of a record.
type Verdict uint8

const (
	// Run: the claim says running, owned by this session. Only then may the handler start.
	Run Verdict = iota
	// Done: the task's generation is over, or it was canceled. The record's offset may be completed.
	Done
	// Stale: a later turn has been begun or awaited. The record's offset may be completed.
	Stale
	// Held: somebody else is at work on it, or may be. Begin again after a while; nothing may be concluded before.
	Held
	// Bury: the claim says dying, owned by this session. Write the letter from the details; don't run the task.
	Bury
	// Again: this node has no session now, or Redis can't be asked. Begin again after a while.
	Again
)

func (v Verdict) String() string {
	return [...]string{"run", "done", "stale", "held", "bury", "again"}[v]
}

// A bid is what a begin brings: the turn of its record, and who asks.
type bid struct {
	generation, turn, attempt int
	typ                       string
	me                        string
	clock                     int64 // Unix µs, never the same twice in this process
	now                       time.Time
	limit                     int // crashes that make a task poison
}

// judge is the verdict table. found is what Redis shows, ok whether it shows anything that can be read; of this session
// nothing else is in flight for the task. gone says that the registry does not know found's owner any more. When write is
// true, the verdict holds only if next replaces exactly what was found.
//
//nolint:gocyclo // one case per row of the table
func judge(found Claim, b bid, gone bool) (v Verdict, next Claim, write bool) {
	mine := found.Owner == b.me
	switch {
	case found.State.Terminal() && found.Generation >= b.generation:
		return Done, Claim{}, false
	case found.State.Terminal(), found.State == Dying && found.Generation < b.generation:
		return Run, b.running(found, 0), true // a replay: the letter had been written
	case found.State == Dying && found.Generation == b.generation:
		if !gone && !mine {
			return Held, Claim{}, false
		}
		next = found
		next.Owner, next.Fence = b.me, b.fence(found)
		return Bury, next, true
	case found.after(b.generation, b.turn):
		return Stale, Claim{}, false
	case found.State.waits():
		return Run, b.running(found, b.crashes(found)), true
	case !mine && !gone:
		return Held, Claim{}, false
	case found.Generation < b.generation:
		if !mine {
			found.Flags |= TakenOver
		}
		return Run, b.running(found, 0), true // a replay: what befell the task before is over
	case found.Flags&CancelAsked != 0:
		next = found
		next.State, next.At = Canceled, b.now.UnixMilli()
		if !mine {
			next.Flags |= TakenOver // a successor of the lost run may be on its way
		}
		return Done, next, true
	case mine:
		return Run, b.running(found, found.Crashes), true // my own begin, whose reply was lost
	}
	return b.steal(found)
}

// steal takes the run of a session that is gone over.
func (b bid) steal(found Claim) (v Verdict, next Claim, write bool) {
	found.Flags |= TakenOver
	if found.Crashes+1 < b.limit {
		return Run, b.running(found, found.Crashes+1), true
	}
	if found.Crashes > 0 && found.Flags&Alone == 0 {
		return Run, b.running(found, found.Crashes), true // it shared its process: who took it down is not known
	}
	next = b.running(found, found.Crashes+1)
	next.State = Dying
	return Bury, next, true
}

// crashes is what a turn inherits: a replay starts anew.
func (b bid) crashes(found Claim) int {
	if found.Generation < b.generation {
		return 0
	}
	return found.Crashes
}

// running is the claim by which this bid's turn runs, after found.
func (b bid) running(found Claim, crashes int) Claim {
	c := Claim{
		State: Running, Generation: b.generation, Turn: b.turn, Attempt: b.attempt, Crashes: crashes,
		Flags: found.Flags & TakenOver, Owner: b.me, Fence: b.fence(found), At: b.now.UnixMilli(), Type: b.typ,
	}
	if found.Generation == b.generation && found.Turn == b.turn {
		c.Attempt = max(c.Attempt, found.Attempt) // tried in place before
	}
	return c
}

// fence is larger than that of any run before.
func (b bid) fence(found Claim) int64 { return max(b.clock, found.Fence+1) }

// lastRun says whether a claim with so many crashes may run once more only, and so must run alone.
func lastRun(crashes, limit int) bool { return crashes > 0 && crashes >= limit-1 }
