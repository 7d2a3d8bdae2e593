// Package producer publishes tasks. It needs Kafka alone, neither Redis nor etcd, and imports no client of theirs.
//
// # What Send promises
//
// When [Producer.Send] returns nil, all in-sync replicas have every task. When it returns an error, the *[SendError]
// names the tasks that failed and why; the others were sent.
//
// Writes are idempotent: a retry within the producer, after a lost reply or a change of leader, does not double a task.
// Retries go on until the context ends. What is still unsent then is withdrawn; what was in flight can't be called back,
// because whether the broker has written it is known only to the broker. Such a task fails with [ErrUnacknowledged]:
// it may yet be written. Sending it again with the same ID and Source is always safe: nodes take the two for one.
//
// # Status
//
// A task is known to `tasktier task get` once a node has begun it. Where it should be known from the start, and Redis is at
// hand, [Config.Acknowledged] connects what writes that, package claim's Announcer; Send neither waits for it nor fails with
// it.
//
// # Order
//
// Tasks of one key go to one partition, in the order of the calls, as long as one call returns before the next begins.
// Nothing is promised about tasks whose sending overlaps.
package producer
