// Package task is tasktier's vocabulary: what a task is, how one is described, and what a handler may answer. It
// imports the standard library alone, so services and handlers can share it at no cost.
//
// # Two sides, one definition
//
// A type of task is defined once, in a package that the publishing service and the node both import:
//
//	var Welcome = task.Define[WelcomeMail]("email.welcome", task.MaxAttempts(5))
//
// The service builds tasks from it, Welcome.New(WelcomeMail{To: …}), and sends them with package producer. The node
// registers its handler with consumer.Handle(mux, Welcome, func(ctx, mail) error). [New] is the untyped form.
//
// # Identity
//
// On the wire a task is a CloudEvent 1.0. Within a queue the pair (Source, ID) names it: sending the same pair again is
// sending the same task again. [New] mints a UUIDv7; [ID] and [OncePer] let the caller choose instead.
//
// # What a handler answers
//
//	nil                     succeeded
//	any error               failed: tried again while attempts are left, then dead
//	Permanent(err)          dead: another attempt can't help
//	RetryAfter(d, err)      failed: tried again after d
//	Snooze(d)               not now: started again after d, no attempt used
//
// The error may be wrapped; the outermost of these words wins.
//
// # Generation, turn, attempt
//
// Generation counts an operator's replays of a dead task, from 0. Within a generation every record that succeeds
// another (for a retry, for a snooze) has the next Turn, from 1. Attempt counts tries, from 1. (Generation, Turn) orders
// the records of a task; Attempt only informs the retry policy.
package task
