// Package limit keeps a type of task from running more than N times at once in the whole cluster; with N = 1 that is a lock.
//
// A [Limiter] is a node's part in it: it takes slots in etcd for the types that its node has tasks of, hands them to the
// consumer one task at a time, and gives them back. [Read] tells an operator who has which slot and who waits.
//
// # Keys in etcd
//
//	<prefix>/limits/<type>/slots/<number>      who has the slot: JSON {session, node, limiter}, under the session's lease
//	<prefix>/limits/<type>/waiting/<session>   a ticket of a node that waits for a slot: the same JSON, under its lease
//
// A type's name is free text and stands in a key as a segment of a URL's path does, so it has no slash there. Numbers have six
// digits and go from 0 to N-1. A key's create revision is the slot's fencing token, and the ticket's age. "limiter" is drawn at
// random for each Limiter: two of them on one session do not take each other's slots for theirs.
//
// # States of a slot, for the node that has it
//
//	idle      its key is there under our lease, and no task has it: Take hands it out
//	used      a task has it: it is never taken away, and Release makes it idle or leaving
//	leaving   it is being given back: never handed out again, and deleted until etcd shows it gone
//	void      somebody deleted its key while a task had it. It counts as used until the task has ended, and is then forgotten
//
// When the session ends all its slots are forgotten at once, and the next session starts with none.
//
// # How a slot is taken
//
// A node takes one if it could have more tasks of the type at work than it has slots (Want), and has fewer than N. If a slot
// is free and nobody waits, it is one transaction: the slot's key is absent, no slot beyond N is there, there is no ticket,
// the limit still counts ([Limit.Lasts]): put. Otherwise the node writes a ticket, follows the watch, and takes a slot when
// at least as many are free as there are tickets up to its own; in one transaction the slot is put and the ticket deleted.
// The line is ordered by how many slots who waits has already, then by the age of the ticket: among nodes that have none,
// first come, first served. A node that has what it wants leaves the line; while it is at work and no slot is free, after
// Config.Linger only, for what a busy node wants changes from task to task.
//
// # How a slot is given back
//
// Before a slot is handed out, and when a task has ended, it goes back if
//
//   - the type's limit is lifted, or is now too small for its number;
//   - it is more than the node wants, and somebody waits, or it has been idle for Config.Linger;
//   - the node has had it for Config.Fair, and somebody waits who has fewer slots of the type than this node.
//
// Otherwise it stays, and the next task has it without a word to etcd. When N shrinks, nobody takes a slot, and nobody who
// knows hands out one that it has, until those beyond the new limit are gone: when the tasks that were at work are done, the
// limit is kept again.
//
// # Invariants
//
//   - A slot is handed out only while its lease is trusted, and its key lives longer than the trust. So at no time are there
//     more than N tasks at work in the name of trusted sessions, unless N just shrank or somebody deletes keys by hand.
//   - A slot's key is created only if absent, and deleted only by its create revision. So of two who have the slot, the later
//     one has the higher token. Slots of different numbers that one node took at once can have the same.
//   - What a write has done is not guessed: the state is what the watch shows, up to the revision of the last own write at
//     least, and after a write whose reply was lost, everything is read anew. A key of ours that appears late is found then
//     and used or deleted; a slot whose deletion was sent once is never used again.
//   - No call to etcd is made under the lock that Take and Release need.
//   - A node that has what it wants, with nobody waiting, writes nothing. One that wants nothing and has nothing reads
//     nothing either: its watch ends after a minute.
//
// # What fails, and what follows
//
//	node is killed or paused     its slots and its ticket go with its lease, at most a TTL later
//	its session ends             Take hands out nothing at once; what runs is told by the lease; a new session starts over
//	etcd is away for moments     what is held goes on being handed out; nothing new is taken
//	etcd is away for longer      the session ends with its trust, and with it all slots
//	etcd is back                 everything is read anew, and who wants takes; back-off up to 2 s
//	etcd's quota is full         what is held stays, and is given back when due; nothing new is taken
//	reply to a taking lost       the slot is found under our lease and used
//	reply to a giving lost       it is given again, until it is gone
//	slot's key deleted by hand   another node may take it at once, and the task that had it is not told: its token is older.
//	                             This node takes no other slot in its place before that task has ended
//	ticket deleted by hand       it is written anew, at the end of the line
//	limit shrinks                those at work finish; see above
//	limit lifted                 slots go back when free, tickets are deleted
//	this node's limit is stale   its taking fails by [Limit.Lasts]; it leaves the line for 2 s, so that it holds nobody up
//	nodes differ in N            each keeps to its own: one with the smaller N starts nothing until no slot beyond it is taken
//	watch fell behind            etcd compacted what it had yet to tell: everything is read anew
//	waiting node hangs           those behind it wait until its session is over, at most a TTL
//	process is told to stop      Run gives idle slots and tickets back, for which it takes 2 s at most. What is in use goes
//	                             with the session
package limit
