// Package history tells what happened to every task of a test, and whether it was allowed.
//
// # The history
//
// All who take part in a test write down what they see and do: producers what they send, handlers what they run, operators
// what they cancel and replay, the nemesis what it breaks, and observers what Kafka and Redis show. Each process has a
// file of its own in one folder, outside of all that is tested, and each event is a line written by one call ([Writer]). So
// a process that is killed leaves at most one torn line, at the end of its file. [Read] puts the files together again, in
// the order of time. [Check] holds the result to the promises, see rules.go.
//
// An event is a line of text: when, in microseconds of Unix time, what, and then only the fields that are not zero:
//
//	1796365794431031 started queue=tasks source=/storm id=17 turn=1 attempt=1 fence=1796365794430007
//
// # Which event is written when
//
// The order matters: what a check concludes rests on it.
//
//	sent           before the task is given to the producer; with its plan and the hash of its payload
//	acknowledged   after the producer has returned. Sent and never acknowledged: the outcome is not known
//	started        by the handler, before it does anything
//	ended          by the handler, as the last thing before it returns
//	recorded       by the node, when it was told that a turn's end is recorded (tasktier.WithSettled); if the test has it
//	up             by a process, when it begins, with its pid
//	over           by a process that saw a session of its node end, or by somebody who knows that it did
//	stopped        by whoever waits for a process, when it has ended as it was asked to
//	killed         before SIGKILL is sent
//	died           by whoever waits for a process, when it has ended otherwise: killed, or by itself
//	paused         before SIGSTOP is sent
//	resumed        before SIGCONT is sent
//	fault          before something is broken
//	mended         when that is over. If it made a server forget, after it forgot
//	cancel         before an operator asks for it
//	answered       after that was answered: the state that the task is in now, and whether its run was asked to end
//	replayed       after a letter was sent again: the generation is the new one. If the operator knows
//	purged         before a letter is given up
//	committed      after an observer has read a committed offset
//
// and when all is over, in any order, by a collector:
//
//	record         a record of a pending topic, a retry tier or a dead-letter topic
//	claim          the claim of a task, as it is at the end
//	collected      after all records of a topic, or all claims, were written down: only then their absence means something
package history
