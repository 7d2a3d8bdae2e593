// Package pipeline proves the promises end to end: node processes that are stopped, restarted and killed while they work,
// on the embedded stack and on real Kafka. Every handler appends what it does to a log outside the system under test, and
// the tests account for every task.
package pipeline
