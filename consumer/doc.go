// Package consumer executes tasks: the engine of a node.
//
// # The way of a record
//
//	poll → decode → begin → lane → slot → handler → successor → finish → tracker → commit
//
// A queue (queue.go) polls its group's records, gives each its place in the tracker of its partition (partition.go,
// tracker.go) and decodes it. From then on it is a turn (turn.go). The order of its effects is in attempt.go and nowhere
// else: start reading there. Slots (slots.go) are the goroutines that run handlers, shared by the queues by weight;
// aside.go keeps those whose time has not come; rebalance.go and commit.go talk to the group.
//
// # Invariants
//
//   - Every record that a poll returns is admitted to the tracker of its partition before the assignment can change: a
//     record that was polled and not admitted would look like a gap in the log, and the watermark would pass it.
//   - Only the watermark is ever committed: the offset below which every record of this assignment is settled.
//   - A turn is settled once, after its outcome is durable: a success when the handler has returned, everything else when
//     its successor, the next turn or the letter, is acknowledged by all in-sync replicas.
//   - A partition that was taken away is closed for good. What still runs of it runs on, and its completion ends in a
//     tracker that nobody commits from. Nothing of it is started after its revocation.
//   - Nothing on the way of a record blocks but a handler in its slot and the window in front of a poll. So rebalances
//     and heartbeats are never held up by tasks, and one stuck task holds one slot.
//   - Memory is bounded: records by the window, trackers by MaxSpan, goroutines by Concurrency.
//
// # States of a turn
//
//	ready     in the queue's fifo, waiting for a slot
//	in lane   behind another turn of its ordering key
//	aside     for moments until it is due; or, in an ordered queue, until its next attempt, and its lane waits with it
//	at work   in a slot, or its successor is being written
//	settled   its offset is complete
//	dropped   by revocation, loss or stop: not completed, so delivered again
//
// # What fails, and what follows
//
//	handler returns an error     its next turn waits in the retry tiers; dead letter, "exhausted", when no attempt is
//	                             left, or "failed" if permanent. In an ordered queue it is tried again in place
//	no handler knows its type    it waits in the retry tiers and is looked at again, ever more rarely, until the limit
//	it is not due                it waits in the retry tiers; below a tenth of a second, aside
//	handler panics, exits        a failure like any other; the slot goes on
//	handler outlives its timeout its context ends; it keeps its slot until it returns, and its answer counts
//	record can't be decoded      dead letter byte for byte, "undecodable"; those behind it go on
//	broker refuses a successor   a retry or a letter: tried until acknowledged; the offset is held
//	broker is away               fetches, letters and commits go on when it is back; handlers run meanwhile
//	rebalance                    revoked partitions: nothing new starts, up to Drain for what runs, commit, forget.
//	                             Kafka's client polls nothing for this queue meanwhile
//	membership lost              the same without waiting and without commit: what runs may be delivered again, and run a
//	                             second time beside itself, until claims exist. Kafka's client gives the membership up as
//	                             soon as no broker takes connections any more
//	log goes back                the partition starts anew, from its oldest unfinished record if that is still there
//	stop                         nothing new starts, up to Drain for what runs, commit, leave
//	process dies                 what was not committed is delivered again: at least once, until claims exist
package consumer
