// Package deadletter keeps the tasks that can't succeed until an operator replays them: nothing is ever gone.
//
// # The letter
//
// A letter is the original record, value and headers byte for byte, in the compacted topic Q.dead, with headers that say
// why it is there (reason, error, where and when). Its key is the task's identity and generation, so that a task that is
// replayed and dies again has a letter of its own; a record that can't be decoded is kept under the place it was read
// from. See [Key] and [OriginKey].
//
// # Writing
//
// A letter that the broker refuses never drops the task: it is tried again, with back-off and one log line in half a
// minute, until it is acknowledged by all in-sync replicas or the writer's context ends. Only then does its caller
// complete the offset; without that, the record is delivered again.
//
// # Reading
//
// A [Store] is what an operator, or a service, sees of a queue's letters: [Store.List], [Store.Stats], [Store.Groups]. A
// letter is there if it is the newest record of its key: what a later letter has replaced, or a tombstone has taken away, is
// gone at once, whether or not Kafka has compacted it. What is read is what was acknowledged and committed when the reading
// began.
//
// Memory does not grow with payloads. A reading keeps some 60 bytes for each letter that matches, and a few megabytes of
// what it reads; letters that do not match cost nothing. Where letters lie is known after one pass over the topic; those
// that match are then read where they lie, in the order of their deaths.
//
// [Store.Purge] takes letters away, by tombstones in the letters' own partitions. [Letter.Export] is a letter as a line of
// text that can be sent again.
//
// # Replay
//
// [Store.Replay] brings tasks back: to their queue, byte for byte, with the next generation, turn 1 and attempt 1, under the
// record key that they came with. A letter is, in this order,
//
//	found      it matched when the topic was read
//	judged     the record can be obeyed, and the task's claim does not speak against it
//	sent       its task is on the way to the queue
//	back       all in-sync replicas of the queue have its task
//	gone       all in-sync replicas have its tombstone: only now it counts as replayed
//
// What is judged unfit is skipped: it stays as it is. A letter whose claim speaks of a later generation was sent by a replay
// that ended too early, and goes from judged to gone.
//
// Invariants:
//
//   - No tombstone is written for a letter before its task is back. So whatever ends a replay, the task is in its letter, in
//     its queue, or in both.
//   - A letter is always sent as the same turn, (generation + 1, 1): what is sent twice is one task to the claims, which run
//     it once.
//   - A tombstone has the letter's generation in its key and goes to the letter's partition: a task that is back and dies
//     again has a letter that this does not hit.
//   - Nothing is sent whose claim would have it dropped: its letter would be gone, and the task with it.
//   - What was read and is not gone yet is bounded by number and by bytes.
//
// What fails, and what follows:
//
//	the replay is killed           run it again: what was sent is recognised, the rest is sent
//	its context ends               nothing more is sent, what is on the way is waited for, and counted
//	two replay at once             letters are sent twice, and claims run each task once
//	no claims, or they were lost   what is sent twice may run twice; nothing is lost
//	Kafka or Redis is away         tried for a while, then an [AwayError]; letters that are not gone are there
//	the queue refuses a task       it is told and counted, and its letter stays
//	a record can't be decoded      it is skipped, unless the caller insists; it has no claim then
//	a task was canceled            it is skipped until its claim is forgotten
//
// Package lock keeps operators apart, for their peace of mind: nothing depends on it.
package deadletter
