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
package deadletter
