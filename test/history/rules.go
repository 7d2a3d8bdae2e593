package history

import "time"

// Rules are what a history is held to: how the nodes were configured, and how long what takes no time in theory may take
// on a busy machine. Zero values are the defaults. The nodes' breakers have to be off: attempts that they spare cost none,
// which looks like a failure that is not counted.
type Rules struct {
	// Lease is the nodes' node.lease_ttl. Default 10 s.
	Lease time.Duration
	// Crashes is how many processes make a task poison. Default 3.
	Crashes int
	// Proceed says that nodes go on without claims while Redis is away.
	Proceed bool
	// Window is for how long Redis remembers what was finished. 0: longer than the history.
	Window time.Duration

	// Unrecorded is how long the end of a run may go unrecorded while nothing is broken: what died within it after the
	// handler had returned was still in flight. Default 2 s. It counts from when Redis, and for all but a success Kafka, is
	// back, and its process goes on.
	Unrecorded time.Duration
	// Zombie is how long after the end of a session, or after a paused process goes on, its handlers may take to see their
	// contexts end, and may still be started. Default 2 s.
	Zombie time.Duration
	// Rewritten is how long after Redis forgot a claim it is written anew while its task runs. Default 10 s.
	Rewritten time.Duration
	// Skew is how early a task may start: times are cut to milliseconds. Default 2 ms. Beside that counts by how much a
	// fault has set the clock of a process ahead.
	Skew time.Duration
	// Stories bounds the violations of each rule that are told in full; all are counted. Default 10.
	Stories int
}

func (r Rules) withDefaults() Rules {
	for value, normal := range map[*time.Duration]time.Duration{
		&r.Lease: 10 * time.Second, &r.Unrecorded: 2 * time.Second, &r.Zombie: 2 * time.Second,
		&r.Rewritten: 10 * time.Second, &r.Skew: 2 * time.Millisecond,
	} {
		if *value == 0 {
			*value = normal
		}
	}
	if r.Crashes == 0 {
		r.Crashes = 3
	}
	if r.Stories == 0 {
		r.Stories = 10
	}
	return r
}

// recovery is how long work may take to go on by itself when a server is back.
const recovery = 5 * time.Second

// A Rule is what a history can violate. The comments say what is lawful; what only a word says is in the file of its check.
type Rule string

// The rules.
const (
	// Whole: what is told fits together. Every run is of a task that was sent, every end is of a run that started.
	Whole Rule = "the history is whole"
	// NothingLost: every task that was acknowledged, or of which anything was seen, ends in exactly one of succeeded, dead,
	// canceled, as planned; succeeded only by a run that did, dead only with its letter, canceled only if somebody asked.
	NothingLost Rule = "nothing is lost"
	// Intact: every record of a task has the payload that was sent.
	Intact Rule = "payloads are intact"
	// DoneOnce: a run follows another one of its task only as relation.go says, or with an excuse of excuse.go.
	DoneOnce Rule = "done once"
	// NeverEarly: no run starts before its task's time, and no record comes back from a tier before its due.
	NeverEarly Rule = "never early"
	// CrashIsNoFailure: the attempt is one more than the failures that handlers told of in that generation.
	CrashIsNoFailure Rule = "a crash is not a failure"
	// ZombiesLose: the result is that of the last run that was begun, never of one whose session was over when it was taken
	// over. Handlers that live on after their session see their context end.
	ZombiesLose Rule = "a zombie cannot win"
	// FencesGrow: in the order of starts.
	FencesGrow Rule = "fences grow"
	// NeverBack: generations and turns don't go back, in the order of starts.
	NeverBack Rule = "generations and turns never go back"
	// Limited: of a limited type no more run at once, in sessions that last, than its limit says, and tokens of locks grow.
	Limited Rule = "limits hold"
	// Letters: a letter says what happened, there is one for each death and none without, and it goes only when its task is
	// back or it was given up.
	Letters Rule = "dead letters are complete"
	// Offsets: no committed offset passes a record whose task had not ended and of which no copy or successor was there.
	Offsets Rule = "offsets never pass unfinished work"
	// CanceledStays: what was canceled does not start.
	CanceledStays Rule = "what is canceled stays so"
	// InOrder: tasks of one ordering key run one at a time, in the order of their records.
	InOrder Rule = "ordered by key"
	// NoCrash: no process dies unless it is killed, or runs a task that is meant to kill it.
	NoCrash Rule = "no process dies by itself"
)
