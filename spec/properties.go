package spec

import (
	"fmt"
	"strings"
)

// A breach is a step that must never be taken.
type breach uint8

const (
	nothing breach = iota
	startedFinished
	startedCanceled
	startedHandedOver
	fenceFell
	overwrote
	leftClaim
)

var breaches = [...]string{
	nothing:           "",
	startedFinished:   "a finished task was started again",
	startedCanceled:   "a canceled task was started",
	startedHandedOver: "a turn was started again after it was handed over to its successor",
	fenceFell:         "a fence is not above those before it",
	overwrote:         "a stale owner wrote over a claim that is not its own",
	leftClaim:         "a drained process left with a claim in its name",
}

// wrong says which property a state breaks. Those that Redis is needed for hold as long as it does not forget.
func (m *model) wrong(s state) string {
	if s.broken != nothing && (!s.forgot || s.broken == overwrote) {
		return breaches[s.broken]
	}
	if !s.safe() {
		return "lost: no record, no letter, no success, no cancel"
	}
	if s.forgot {
		return ""
	}
	if s.letters&s.succeeded != 0 {
		return "a letter for a generation that succeeded"
	}
	if s.claim.state == dead && s.letters&bit(s.claim.g) == 0 && !s.coming(s.claim.g+1) {
		return "dead without a letter"
	}
	if s.together() {
		return "two trusted handlers of the task run at the same time"
	}
	if m.quiet(s) && !s.claim.finished() {
		return "a quiet end, and the claim says that it is to go on"
	}
	if s.claim.state == dying && !s.died && s.left.fail == m.budget.fail {
		return "poison, and no process died"
	}
	ends := m.budget.crash - s.left.crash + m.budget.lapse - s.left.lapse
	if m.budget.away == s.left.away && s.claim.crashes > ends {
		return "more crashes counted than happened"
	}
	return ""
}

// safe says that the task has ended well, rests in a letter, or has a record that somebody has to begin yet. Were an offset
// completed too early, the record is missing here as soon as nobody else has one.
func (s *state) safe() bool {
	// A task that was dropped as canceled stays so when Redis forgets the cancel.
	dropped := s.claim.state == canceled || s.forgot && s.asked
	return s.succeeded != 0 || s.letters != 0 || dropped || s.coming(0)
}

// coming says whether a record of generation g or later is on its way or at work.
func (s *state) coming(g int8) bool {
	for _, in := range [][]record{s.avail[:], s.tier[:]} {
		for _, r := range in {
			if r.t > 0 && r.g >= g {
				return true
			}
		}
	}
	for _, n := range s.slots {
		if n.owns && n.rec.g >= g {
			return true
		}
	}
	return false
}

// together says whether two handlers run that both have every right to.
func (s *state) together() bool {
	running := 0
	for i, n := range s.slots {
		if n.phase == handling && s.trusted(i) {
			running++
		}
	}
	return running > 1
}

// quiet says that there is nothing to deliver and nobody at work.
func (m *model) quiet(s state) bool {
	for _, n := range s.slots {
		if n.phase != idle {
			return false
		}
	}
	return s.avail[0].t == 0 && s.tier[0].t == 0 && s.replayed == 0
}

var (
	claimStates = [...]string{"missing", "pending", "running", "retrying", "dying", "succeeded", "dead", "canceled"}
	lives       = [...]string{"registered", "lapsed", "unregistered", "crashed", "gone"}
	phases      = [...]string{"idle", "asking", "held", "won", "releasing", "handling", "ended", "sent", "intended", "lettered", "settled"}
)

// describe writes the last state of a trace.
func (m *model) describe(s state) string {
	var b strings.Builder
	c := s.claim
	fmt.Fprintf(&b, "claim %s", claimStates[c.state])
	if c.state != missing {
		fmt.Fprintf(&b, "(%d.%d run %d", c.g, c.t, c.run)
		if c.owned() {
			fmt.Fprintf(&b, " owner %s former=%t crashes %d alone=%t cancel=%t", names[c.owner], c.former, c.crashes, c.alone, c.cancel)
		}
		b.WriteString(")")
	}
	for p, proc := range s.procs {
		fmt.Fprintf(&b, "; %s %s", names[p], lives[proc.life])
	}
	for i, n := range s.slots {
		if n.phase != idle {
			fmt.Fprintf(&b, "; slot of %s %s %d.%d run %d owns=%t former=%t", names[home[i]], phases[n.phase], n.rec.g, n.rec.t, n.run, n.owns, n.former)
		}
	}
	for name, in := range map[string][]record{"pending": s.avail[:], "tiers": s.tier[:]} {
		for _, r := range in {
			if r.t > 0 {
				fmt.Fprintf(&b, "; in %s %d.%d", name, r.g, r.t)
			}
		}
	}
	fmt.Fprintf(&b, "; letters %03b succeeded %03b", s.letters, s.succeeded)
	return b.String()
}
