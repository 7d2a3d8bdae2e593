// Package retry brings tasks back when their time has come: failed attempts, snoozed and delayed tasks.
//
// # The way of a waiting task
//
// [Policy] says how long a failed task waits; it is a pure function. A [Writer] hands a record on to its next time: into
// the slot of a retry tier (package internal/tier says which), or straight to its queue when it is due. A [Forwarder], one
// in every node, brings back what waits: it reads a slot when it opens, keeps its records in a heap and produces each one
// to Q.pending on its millisecond, never before.
//
// # A slot, from the view of the forwarder that has its partition
//
//	closed    not read; what is in it is of a lap to come
//	open      read from the committed offset on, with a client of its own; from Lead before its start until OpenFor after
//	          it, and on until its end was read and everything due in it is forwarded
//
// A partition whose latest slot was not closed, because nobody ran then, is opened at once when it is assigned: an outage
// makes tasks late, never lost.
//
// # Progress
//
// The committed offset is the contiguous prefix of what is forwarded or need not be. Its metadata has (H, T, O): every
// record below offset H that comes before due T and offset O, in the order of (due, offset), has been forwarded. Whoever
// takes over begins at the committed offset and skips those. A closed slot is committed with the T of its end, which an
// open one never has.
//
// # Memory
//
// The heaps of a node together stay below a limit: past it the fullest one drops its later half, remembers from which
// (due, offset) on it knows nothing, and reads the partition again when what it kept is forwarded. What is finished is known
// by its offset meanwhile, in whatever order it came: 16 bytes for each record above the commit.
//
// # Invariants
//
//   - Nothing is forwarded before its due, by this node's wall clock, which is read again before each record.
//   - A commit never passes a record whose copy was not acknowledged by all in-sync replicas.
//   - The mark (T, O) never passes a record below H that was not acknowledged.
//   - A record of a lap to come stays where it is and holds the commit back.
//   - Headers are not trusted: a record in the wrong slot is routed again, one that can't be obeyed becomes a dead letter.
//
// # What fails, and what follows
//
//	a forwarder dies            its partitions move; what it forwarded after its last commit is forwarded again, and claims
//	                            drop the copies
//	all nodes are down          slots pass unread; the next to be assigned opens them at once
//	a broker refuses a record   it is tried again a little later; others go on
//	a queue's topic is missing  its records are put off, minutes at a time, until it is there; others go on
//	a clock jumps forward       what is due by it is forwarded; early by the clock's error
//	a clock jumps back          what waits goes on waiting, late by the clock's error
package retry
