// Package consumer executes tasks: the engine of a node.
//
// # The way of a record
//
//	poll → decode → examine → lane → begin → slot → handler → successor → finish → tracker → commit
//
// A queue (queue.go) polls its group's records, gives each its place in the tracker of its partition (partition.go) and
// decodes it. From then on it is a turn (turn.go). The order of its effects is in attempt.go and nowhere else: start
// reading there. Slots (slots.go) are the goroutines that run handlers, shared by the queues by weight; ahead.go says when
// the claims of turns are asked for, claims.go is the rest of what claims need, run.go what a handler sees of the node;
// aside.go keeps those whose time has not come; breaker.go and breakers.go spare those
// whose type is in an outage; gates.go keeps those back whose type is paused or at its limit, and rules.go is how that is
// said; rebalance.go and commit.go talk to the group, progress.go says what a commit
// carries beside the offset, and rehome.go hands on what would hold others up.
//
// Without claims there is no begin and no finish: every verdict is run, and every outcome counts as recorded.
//
// # Invariants
//
//   - Every record that a poll returns is admitted to the tracker of its partition before the assignment can change: a
//     record that was polled and not admitted would look like a gap in the log, and the watermark would pass it.
//   - Only the watermark is ever committed: the offset below which every record of this assignment is settled, or has a copy
//     that is acknowledged. What a commit names as finished above it was finished in a tracker.
//   - A turn is settled once, after its outcome is durable: a success when the handler has returned, everything else when
//     its successor, the next turn or the letter, is acknowledged by all in-sync replicas; and, with claims, after its claim
//     has recorded it.
//   - A handler runs only while its turn's claim says so. An outcome that the claim does not take counts for nothing: the
//     record begins again, and only its next verdict completes its offset. A record that is held is never dropped as done on
//     another's behalf.
//   - A claim that was won is finished or released by the turn that won it, also when its partition is gone; but never
//     released while its handler runs: one that does not return leaves it to a takeover.
//   - A partition that was taken away is closed for good. What still runs of it runs on, and its completion ends in a
//     tracker that nobody commits from. Nothing of it is started after its revocation, but for a letter that its claim has
//     left to this node.
//   - A handler of a limited type runs only in a slot of its type, in a session that is trusted. The slot is taken before the
//     claim is asked for, so that no two nodes wait for each other's, and given back when the handler has returned.
//   - Nothing on the way of a record blocks but a handler in its slot and the window in front of a poll. So rebalances
//     and heartbeats are never held up by tasks, and one stuck task holds one slot. (A task that must run alone waits in its
//     slot for the others to end, 10 s at most.)
//   - Memory is bounded: records by the window, trackers by MaxSpan, goroutines by Concurrency.
//
// # States of a turn
//
//	ready     in the queue's fifo, waiting for a slot; with claims, to be begun
//	in lane   behind another turn of its ordering key
//	standing  at the gate of its type, which is paused or has no slot for it
//	asked     its claim is being asked for
//	won       its claim says running, and it waits for a slot
//	aside     for moments until it is due, or held by another; or, in an ordered queue, until its next attempt, and its lane
//	          waits with it
//	at work   in a slot, or its successor is being written, or its outcome recorded
//	settled   its offset is complete
//	dropped   by revocation, loss or stop: not completed, so delivered again
//
// Beside that a turn may have moved: a copy of it is written, and its offset complete. It goes on as it was; but one that is
// held leaves the waiting to its copy.
//
// # What fails, and what follows
//
//	handler returns an error     its next turn waits in the retry tiers; dead letter, "exhausted", when no attempt is
//	                             left, or "failed" if permanent. In an ordered queue it is tried again in place
//	nearly all of a type fail    its attempts are spared: the next turn waits in the retry tiers, in an ordered queue in place,
//	                             but for a few that see whether it works again (breaker.go)
//	no handler knows its type    it waits in the retry tiers and is looked at again, ever more rarely, until the limit
//	it is not due                it waits in the retry tiers; below a tenth of a second, aside
//	handler panics, exits        a failure like any other; the slot goes on
//	handler outlives its timeout its context ends; it keeps its slot until it returns, and its answer counts
//	its type is paused           it stands at its gate, or is put off as it is, through the retry tiers; so too when all
//	                             slots of its type are taken
//	its slot's session is over   its handler's context ends, an error is no failure, and it begins again
//	record can't be decoded      dead letter byte for byte, "undecodable"; those behind it go on
//	broker refuses a successor   a retry or a letter: tried until acknowledged; the offset is held
//	broker is away               fetches, letters and commits go on when it is back; handlers run meanwhile
//	broker takes no metadata     the commit is made again without, and the next ones carry less
//	task is held by another      it waits aside, taking no slot, and begins again
//	owner of its claim is gone   it is taken over, one crash more; the last run that is left to it runs alone
//	task takes the process down  the same elsewhere; once too often, and alone, it is dead as "poison"
//	it was found dying           its letter is written from what lies beside the claim; it does not run
//	task is canceled             before it starts: it is passed. While it runs: its context ends, and all but a success and a
//	                             permanent failure end as canceled
//	session is over              its handlers' contexts end. An error is no failure then: the claim is released, and the
//	                             record begins again under the next session. A success counts if the claim still takes it
//	Redis is away                what asks waits, and so do results; or, with Proceed, goes on at least once
//	task takes hours             after MaxPin, or half of MaxSpan, it is re-homed and runs on. Without claims, and in
//	                             ordered queues, its partition is paused at MaxSpan
//	all slots are taken          what has waited for 5 s goes to a node that offers slots, if there is one
//	rebalance                    revoked partitions: nothing new starts, up to Drain for what runs, with claims 3 s at most,
//	                             commit, forget. Kafka's client polls nothing for this queue meanwhile
//	membership lost              the same without waiting and without commit: what runs may be delivered again. With claims it
//	                             is held there; without, it may run a second time beside itself. Kafka's client gives the
//	                             membership up as soon as no broker takes connections any more
//	log goes back                the partition starts anew, from its oldest unfinished record if that is still there
//	stop                         nothing new starts, what was won is released, up to Drain for what runs, what is unfinished
//	                             below finished records is handed on, commit, leave
//	process dies                 what was not committed is delivered again, but for what the last commit names as finished.
//	                             With claims only what was in flight runs again; without, all of it
package consumer
