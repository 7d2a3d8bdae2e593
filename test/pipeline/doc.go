// Package pipeline proves the promises end to end: node processes that are stopped, restarted, paused and killed while they
// work, and servers that go away under them, on the embedded stack and on real Kafka, Redis and etcd. Every handler appends
// what it does to a journal outside the system under test, and the tests account for every task.
package pipeline
