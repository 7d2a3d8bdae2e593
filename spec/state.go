package spec

// The instance that is explored: two processes, the first with two slots, the second with one. Smaller ones miss what two
// records of one task do to each other within a process, larger ones add no new kind of meeting.
const (
	processes = 2
	slots     = 3
)

// home says which process a slot belongs to.
var home = [slots]int8{0, 0, 1}

// A record is a turn of the task as it lies in a topic: generation, turn, attempt. Turns count from 1: zero is no record.
type record struct{ g, t, a int8 }

func (r record) next() record { return record{r.g, r.t + 1, r.a} }

type claimState uint8

const (
	missing claimState = iota
	pending
	running
	retrying
	dying
	succeeded
	dead
	canceled
)

// A claim is what Redis holds for the task. The zero claim is a missing key.
type claim struct {
	state   claimState
	g, t, a int8
	// run is the number that the last begin drew. It is the fence too: both are unique and grow, and the model needs one
	// of them only. Every later value of the claim carries it, so no value ever comes back.
	run     int8
	owner   int8 // the process whose session it is
	former  bool // that session has ended, and the process goes by another
	crashes int8
	alone   bool // the run that may be the last began with its process to itself
	cancel  bool // the cancel bit
	always  bool // canceled for all generations
}

func (c claim) finished() bool { return c.state >= succeeded }
func (c claim) waits() bool    { return c.state == pending || c.state == retrying }
func (c claim) owned() bool    { return c.state == running || c.state == dying }
func (c claim) after(r record) bool {
	return c.g > r.g || c.g == r.g && c.t > r.t
}
func (c claim) before(r record) bool {
	return c.g < r.g || c.g == r.g && c.t < r.t
}

// life is where a process is with its session in etcd.
type life uint8

const (
	registered   life = iota // alive, in the registry and trusted
	lapsed                   // alive, but its lease is gone: it starts nothing until it has another session
	unregistered             // alive and at work under a new session that etcd, which it can't reach, does not know
	crashed                  // dead, but its lease still runs
	gone                     // dead, and the registry knows
)

type process struct {
	life     life
	draining bool
}

func (p process) alive() bool { return p.life <= unregistered }

// phase is how far a slot is with its record: consumer/attempt.go in states.
type phase uint8

const (
	idle      phase = iota
	asking          // begin is to be called, or called again
	held            // the last verdict was held
	won             // the claim is ours, the handler has not started
	releasing       // what was won is to be given back
	handling        // the handler runs
	ended           // the handler has returned
	sent            // the successor, if any, is acknowledged
	intended        // the claim says dying, the letter is not written
	lettered        // the letter is acknowledged
	settled         // the claim says all, the offset is not completed
)

// busy phases are those that the process knows as in flight.
func (p phase) busy() bool { return p >= won }

type outcome uint8

const (
	success outcome = iota + 1
	failure         // with attempts left
	fatal           // permanent, or the last attempt
	snooze
	stopped // by the cancel bit
)

type slot struct {
	phase   phase
	rec     record
	outcome outcome
	run     int8 // drawn by the begin of this slot; in asking: of one that was applied and whose reply was lost
	grave   int8 // the generation whose letter is to be written
	owns    bool // the record's partition is still assigned
	gone    bool // etcd said so of the owner of the claim, as it stands
	former  bool // the session that it works for has ended
	born    bool // its run began in a registered session
	copied  bool // the record was re-homed, its offset is not completed
	solo    bool // its run has to be alone
	// exclusive: no other slot of the process may start. flagged: the claim is known to say so.
	exclusive, flagged bool
}

// budget is how often each fault, wish and choice may still happen.
type budget struct {
	crash     int8 // a process dies
	lapse     int8 // a lease is lost by a living process
	away      int8 // a process goes on without etcd
	drain     int8 // a process is told to stop
	rebalance int8 // a partition is taken from a slot at work
	uncommit  int8 // a crash takes the commit of a completed offset with it
	dup       int8 // the forwarder doubles a record
	rehome    int8 // a record is handed on
	reply     int8 // a call to Redis is applied and its reply lost
	flush     int8 // Redis is emptied
	rollback  int8 // Redis fails over to a replica that lags
	cancel    int8
	replay    int8
	fail      int8
	snooze    int8
}

// state is everything: stores, processes, and what the properties have to remember. It is comparable and has one form
// only (see canonical), so equal situations are explored once.
type state struct {
	claim   claim
	lagging claim // what the replica holds
	lags    bool

	avail [6]record // in Q.pending, to be delivered; highest first
	done  [7]record // completed; kept only while a commit may still be lost
	tier  [5]record // in the retry tiers

	letters  uint8 // a bit for each generation
	replayed int8  // the generation that was produced from a letter which has no tombstone yet; zero: no replay is on

	procs [processes]process
	slots [slots]slot
	left  budget

	// What the properties remember.
	drawn     int8    // the greatest run number so far
	succeeded uint8   // generations with a recorded success
	buried    uint8   // generations with a recorded death
	over      [3]int8 // the highest turn, by generation, that was handed over to a successor
	asked     bool    // a cancel was accepted and no replay came later
	died      bool    // a process died or was paused past its lease
	forgot    bool    // Redis was flushed or rolled back: at-least-once from here
	broken    breach  // what the last step broke
}

func bit(g int8) uint8 { return 1 << g }

// live says whether the registry has the session that owns the claim.
func (s *state) live(c claim) bool {
	l := s.procs[c.owner].life
	return !c.former && (l == registered || l == crashed)
}

// trusted says whether the run of the slot is one that nobody could have taken for dead: its session is surely registered,
// and was when the run began. A session that registers late does not make the runs trusted that it has: somebody may have
// looked before, and steal after.
func (s *state) trusted(i int) bool {
	n := s.slots[i]
	return n.born && !n.former && s.procs[home[i]].life == registered
}

// welcome says whether the slot may begin or start what it holds.
func (s *state) welcome(i int) bool {
	p := s.procs[home[i]]
	return s.slots[i].owns && !s.slots[i].former && !p.draining && (p.life == registered || p.life == unregistered)
}

// write replaces the claim. Whoever had read the old value and wanted to compare with it has to read again.
func (s *state) write(c claim) {
	s.claim = c
	for i := range s.slots {
		s.slots[i].gone = false
	}
}

// deliver puts a record where any process may poll it.
func (s *state) deliver(r record) { put(s.avail[:], r) }

// complete completes the slot's offset, if its partition is still assigned: else it is delivered again anyway.
func (s *state) complete(i int) {
	n := &s.slots[i]
	if n.owns && s.left.uncommit > 0 {
		put(s.done[:], n.rec)
	}
	n.owns = false
}

// drop makes the slot idle. What it had not completed is delivered again.
func (s *state) drop(i int) {
	if s.slots[i].owns {
		s.deliver(s.slots[i].rec)
	}
	s.slots[i] = slot{}
}

// put fails loudly when there is no room: a bound that cuts behaviours off would make the exploration a lie.
func put(in []record, r record) {
	for i := range in {
		if in[i].t == 0 {
			in[i] = r
			return
		}
	}
	panic("spec: no room for a record: make the arrays of state larger")
}
