package history

import "strings"

// An Excuse is why a task may have been run again. It is what docs/claims.md says under "What can still run twice".
type Excuse string

// The excuses of a run b that repeats the run a.
const (
	// ProcessDied: a was running when its process was killed, died, or stopped without it. Or a had ended, was not recorded
	// as far as anybody knows, and the process ended within Rules.Unrecorded (a clean stop: only while a server was broken).
	// b started after that.
	ProcessDied Excuse = "its process died"
	// SessionLost: likewise, but it was the session of a's process that ended, by its own word or because it was paused for
	// so long; or the end of a says so itself.
	SessionLost Excuse = "its process lost its session"
	// StartedLate: b is the one that counts for nothing. Its process was paused between begin and start, for longer than its
	// lease, and had just gone on.
	StartedLate Excuse = "started by a process that was paused"
	// RedisForgot: Redis forgot, after a had started and before b did. Either a had ended before that; or a was still
	// running, and its claim may not have been written anew when b began (Rules.Rewritten).
	RedisForgot Excuse = "redis forgot"
	// WithoutRedis: Redis was away while a ran or when b started, and nodes were told to proceed.
	WithoutRedis Excuse = "redis was away and nodes proceed"
	// WindowOver: a had ended for longer than Redis remembers.
	WindowOver Excuse = "its window was over"
)

// excuse says why run b may repeat a, which started before; "" if nothing excuses it.
func (w *world) excuse(a, b *run) Excuse {
	switch {
	case w.redisForgot(a, b):
		return RedisForgot
	case w.proceeded(a, b):
		return WithoutRedis
	case w.rules.Window > 0 && a.end != 0 && b.start.Sub(a.end) >= w.rules.Window:
		return WindowOver
	case w.undead(b.process, b.start):
		return StartedLate
	case a.recorded != 0 && a.recorded <= b.start:
		return ""
	case w.died(a) && b.start >= a.process.death.from:
		return ProcessDied
	case over(a.cause):
		return SessionLost
	}
	for i := range a.process.losses {
		l := &a.process.losses[i]
		if a.start <= l.to && b.start >= l.from && (a.end == 0 || l.from <= w.deadline(a)) {
			return SessionLost
		}
	}
	return ""
}

// over says whether a context's cause is the end of its session.
func over(cause string) bool {
	return strings.Contains(cause, "session is over") || strings.Contains(cause, "taken the task over")
}

// redisForgot says whether the claim of a may not have been there when b began.
func (w *world) redisForgot(a, b *run) bool {
	for _, f := range w.faults {
		if f.server != "redis" || f.forgets == Nothing || a.start > f.to || b.start < f.from {
			continue
		}
		finished := a.end != 0 && a.end <= f.to
		unwritten := (a.end == 0 || b.start <= a.end.Add(w.rules.Unrecorded)) && b.start <= f.to.Add(w.rules.Rewritten)
		if finished || unwritten {
			return true
		}
	}
	return false
}

// proceeded says whether a or b may have had no claim.
func (w *world) proceeded(a, b *run) bool {
	if !w.rules.Proceed {
		return false
	}
	for _, f := range w.faults {
		away := span{f.from, f.to.Add(recovery)}
		aUntil := a.end
		if aUntil == 0 {
			aUntil = b.start
		}
		if f.server == "redis" && (away.meets(a.start, aUntil) || away.meets(b.start, b.start)) {
			return true
		}
	}
	return false
}
