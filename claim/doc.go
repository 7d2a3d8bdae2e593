// Package claim keeps, in Redis, who may run a task and what became of it. With it a finished task is not run again
// whatever is delivered twice, a process that was paused past its lease records nothing, and a task that takes its
// processes down is found out.
//
// # The claim
//
// A task has one key, named by a hash of (queue, source, id), whose value is a [Claim]: a short text with a state, the
// generation and turn it speaks of, and who runs it under which fencing token. The happy path writes it twice, in
// batches: when the turn begins, and when it is finished. [Details] lie in a second key that exists only when there is
// something to say.
//
// Every write is a compare-and-set: it replaces exactly the text that a decision was based on, or nothing if nothing was
// there. The decisions are pure functions, judge for what begins (verdict.go) and confirm for what ends (finish.go), and
// the scripts (begin.lua, swap.lua) know as little as possible. Package spec explores the whole protocol as a model;
// change it there first. Turns that are begun together share one text, and so one fence (lot.go). docs/claims.md says what
// users and operators see of all this.
//
// # States of a claim
//
//	(none)      nobody has begun the task, or its window is over
//	pending     announced by its producer, snoozed, or released; speaks of the turn to come
//	running     a session runs the turn, or has begun it
//	retrying    failed; speaks of the turn to come
//	dying       its letter is being written
//	succeeded, dead, canceled   terminal for its generation; canceled before it ran, for all generations
//
// # Invariants
//
//   - A handler runs only under a claim that says running, of its own session and fence. (Or without a claim while Redis
//     is away, if [Config.Proceed] says so.)
//   - A claim is taken only from a session that a linearizable read of the registry does not find.
//   - A session whose trust has ended writes only over its own claim, never where there is none.
//   - A claim of an unknown format is held by somebody: neither absent nor overwritten.
//   - A call may be repeated: what it wrote is recognised as its own.
//   - A hold asks one thing at a time. A process has one hold per task; a second record of the task is held.
//   - Fences of a task grow with every run, while Redis keeps its claim. After a flush they grow as far as the nodes'
//     clocks agree.
//
// # Status
//
// Those who look ask a [Store]: Get and Wait read claims and their details, Cancel changes one by the same compare-and-set
// as the nodes. List asks the nodes over the control channel what they run, and finds what retries, was delayed or died in
// sorted sets that are hints (index.go): written after the claim and off the way of the task, confirmed by the claims when
// they are read. Nothing depends on status: an announcement or a mark that can't be written in time is dropped and counted.
//
// # What fails, and what follows
//
//	a reply is lost               the call is repeated until it is answered
//	Redis is away                 what asks waits; or, to proceed, runs at least once
//	Redis was flushed, went back  trusted sessions write what they run anew; finished tasks may run again
//	an owner is gone              its claim is stolen by whoever has the record: one crash more
//	the registry is away          nothing is stolen
//	a task crashed once too often it runs alone on its node; if it takes that down too, it is poison
//	a session has ended           its handlers' contexts end; what it had not started begins anew under the next one. What
//	                              ran alone no longer says so: it was not the task that took the process down (alone.go)
//	a cancel message is lost      the next refresh sees it
package claim
