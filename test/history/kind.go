package history

// A Kind says what an event tells of.
type Kind uint8

// The kinds. The package says when each is written, Event which fields it has.
const (
	_ Kind = iota
	Sent
	Acknowledged
	Started
	Ended
	Recorded
	Up
	Over
	Stopped
	Killed
	Died
	Paused
	Resumed
	Fault
	Mended
	Cancel
	Answered
	Replayed
	Purged
	Committed
	Record
	Claim
	Collected
)

var kindWords = [...]string{
	Sent: "sent", Acknowledged: "acknowledged", Started: "started", Ended: "ended", Recorded: "recorded", Up: "up",
	Over: "over", Stopped: "stopped", Killed: "killed", Died: "died", Paused: "paused", Resumed: "resumed", Fault: "fault",
	Mended: "mended", Cancel: "cancel", Answered: "answered", Replayed: "replayed", Purged: "purged", Committed: "committed",
	Record: "record", Claim: "claim", Collected: "collected",
}

var kindOf = words(kindWords[:])

func (k Kind) String() string { return word(kindWords[:], k) }

// An Outcome says how a handler returned.
type Outcome uint8

// The outcomes, by what the handler returned.
const (
	_         Outcome = iota
	Succeeded         // nil
	Failed            // an error
	Permanent         // task.Permanent: no attempt can help
	Snoozed           // task.Snooze
	GaveUp            // any error when its context had ended
)

var outcomeWords = [...]string{Succeeded: "succeeded", Failed: "failed", Permanent: "permanent", Snoozed: "snoozed", GaveUp: "gave-up"}

var outcomeOf = words(outcomeWords[:])

func (o Outcome) String() string { return word(outcomeWords[:], o) }

// Forgets says what a fault makes its server forget.
type Forgets uint8

// What is forgotten.
const (
	Nothing    Forgets = iota
	Flushed            // everything: it came back empty
	RolledBack         // the latest writes, as at a fail-over or from a snapshot
)

var forgetsWords = [...]string{Flushed: "flushed", RolledBack: "rolled-back"}

var forgetsOf = words(forgetsWords[:])

func (f Forgets) String() string { return word(forgetsWords[:], f) }

func word[T ~uint8](words []string, v T) string {
	if int(v) < len(words) {
		return words[v]
	}
	return "unknown"
}

func words(list []string) map[string]uint8 {
	m := make(map[string]uint8, len(list))
	for v, w := range list {
		if w != "" {
			m[w] = uint8(v)
		}
	}
	return m
}
