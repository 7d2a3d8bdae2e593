package task

// A State is where a task is in its life.
type State string

// The states. The last three are terminal.
const (
	Pending   State = "pending"   // waiting for a node
	Scheduled State = "scheduled" // delayed by its producer
	Running   State = "running"   // a handler is at work
	Retrying  State = "retrying"  // failed, waiting for its next attempt
	Succeeded State = "succeeded"
	Dead      State = "dead" // in the dead-letter topic until an operator replays it
	Canceled  State = "canceled"
)

// Terminal says whether nothing more becomes of a task in this state by itself.
func (s State) Terminal() bool { return s == Succeeded || s == Dead || s == Canceled }

// A Reason says why a task is dead.
type Reason string

// The reasons, as the wire format names them.
const (
	ReasonFailed      Reason = "failed"      // its handler said that no attempt can help
	ReasonExhausted   Reason = "exhausted"   // it failed and no attempt was left
	ReasonPoison      Reason = "poison"      // it took its process down too often
	ReasonExpired     Reason = "expired"     // its expiry passed before an attempt could start
	ReasonUnhandled   Reason = "unhandled"   // no node knew its type for too long
	ReasonUndecodable Reason = "undecodable" // the record is no task
	ReasonInvalid     Reason = "invalid"     // the record is a task with attributes that can't be obeyed
	ReasonOversize    Reason = "oversize"    // it outgrew what the topics take
)
