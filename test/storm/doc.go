// Package storm has no code of its own, only tests. They let real node processes work while everything around them is
// broken, and account for every task.
//
// # A round
//
//	stage    the servers, of one of three kinds: single (one Kafka, one Redis, one etcd), cluster (three of each, replicated),
//	         embedded (what `tasktier dev` runs). Between each node and each server is a proxy
//	crew     the processes: nodes, producers, one that cancels and one that replays. Each is this test's binary in another role
//	faults   the nemesis breaks and mends, by a plan that follows from the seed
//	rest     nothing is broken any more, producers have stopped, and all offsets are committed up to the end
//	account  what lies in Kafka and Redis is added to the history, and the checker goes through it
//
// What a task does follows from its plan, which is its payload; what tasks there are follows from the seed and the place in
// the sequence of their producer. So a process that is killed goes on with the next one, a task that is sent twice is the
// same task, and whoever cancels knows which ones without being told.
//
// # What ends a round badly
//
//   - a violation, with the story of its task;
//   - a system that does not come to rest in time;
//   - a process of the crew that ends by itself for no good reason.
//
// The history, the logs of all processes and of the servers stay when a round has failed. docs/reliability.md says what is
// checked and how a storm is repeated.
package storm
