// Package spec is the claims protocol as a model that a computer can explore to its end: every order of events of a small
// instance, and in each the properties that the promises of tasktier rest on. It is no part of any program.
//
// The protocol is changed here first. Change the step, run the tests, read the trace of what breaks, and only then change
// packages claim and consumer. A rule that can be got wrong gets a defect in defects.go, and a line in
// TestPlantedDefects with the smallest mix of faults in which a property sees it; a defect that no property sees is a rule
// without a reason, or a property that is missing.
//
// # Where to read
//
//	state.go       what there is: the claim, records, processes with their sessions, slots
//	begin.go       decide is the table of verdicts; ask, win and readRegistry are what a slot does with it
//	attempt.go     the way of a record through a slot, in order: poll, start, handler, successor, offset; re-homing
//	finish.go      what may be written over which claim; lost results; release
//	death.go       intent, letter, dead
//	session.go     crashes, leases, etcd away, drains
//	world.go       forwarder, operator, Redis
//	properties.go  what must hold
//	alone.go       the second model: which task is to blame when a process dies; blame.go is its world
//	explore.go     the search
//	canonical.go   the one form of a state
//	model.go       how the steps are collected, and how replies get lost
//
// # What is explored
//
// One task; two processes, the first with two slots; a topic, a retry tier whose forwarder may double records, dead
// letters. What can go wrong is rationed by a budget, and a test names mixes of it: crashes (with the last commit lost),
// leases lost by the living, work under a session that etcd does not know, drains, partitions taken, records handed on,
// replies of Redis lost after the call was applied, cancel, replay (killed half-way), failures, snoozes, a flush of Redis, a
// fail-over to a replica that lagged.
//
// Reading a claim, deciding and writing is one step, because the code writes by compare-and-set on the very value it read
// and starts over when that has changed. That rests on values that never come back: every value of a claim but the missing
// one carries the run that wrote it. Reading etcd is a step of its own: others act between the answer and the steal.
//
// Where DESIGN leaves room, or an exploration asked for more, these are the rules:
//
//   - A number drawn at each begin, above that of the claim it replaces, is both run number and fence.
//   - A call that was applied is recognised by its run when it is retried. While a begin or a steal has no answer its record
//     is neither dropped nor re-homed: what it may have won is released, or is nobody's.
//   - A run is trusted if its session was registered when it began, and is. A session that registers late does not make the
//     runs trusted that it already has: somebody may have found it gone before, and steal after.
//   - A record of a later generation finds the crashes and the cancel bit of an earlier one to be history.
//   - The last run that the crash limit allows has its process to itself from before its claim is marked until its result is
//     recorded: not just until its handler returns. Handlers of ended sessions count as company. It starts in registered
//     sessions only. A process that ends its session or itself knowingly with such a handler at work (trust ran out, the
//     drain is over) first takes the mark back; only one that was killed or paused leaves it.
//   - A handler that stops because its session or its process does ends in a release: no attempt, no crash.
//
// # What must hold
//
// Nothing is lost: at every moment the task has succeeded, was canceled, rests in a letter, or has a record that will be
// delivered; so no offset passes unfinished work. A finished, canceled or handed-over turn does not start again. No two
// trusted handlers of the task run at once. A write replaces the claim of its own run, or one that Redis forgot, and the
// latter only if the run is trusted. Fences grow. No letter for a success, and no death without a letter. No poison if no
// process died. No more crashes counted than happened. A process that drained leaves no claim. A quiet end has a finished
// claim. And from every state there is a way to a quiet end that needs no further fault, wish or failure: nothing is ever stuck,
// in a dead end or in a circle.
//
// When Redis has forgotten (flush, fail-over), what remains is: nothing lost, nothing stuck, no write by a stale owner.
//
// In the second model: no task is poison that never took a process down, and none takes down more processes than the limit.
//
// # What is left out
//
//   - Time. The lease outlives trust, deliveries come eventually, and claims live as long as they are needed.
//   - More than one task, except in the second model, which leaves out records and replies. There a process dies by its
//     tasks only: a process that is killed from outside, or paused past its lease, while a task runs alone, counts against
//     that task, innocent or not. Nothing that is left behind tells the two apart.
//   - Retries in place, lanes, types without a handler, tasks that Redis hears of before they are polled.
//   - A claim that expires while its task is under way; a call that Redis applies after a fail-over brought back the very value that
//     it compares with.
//   - How the forwarder, the tracker and the commit work inside.
//
// # How to run it
//
//	go test ./spec                              about 15 s of one core
//	go test -race ./spec                        without the larger mixes: there is no second goroutine to race with
//	go test -race -short ./spec                 the small mixes only, a few seconds
//	SPEC=full go test -timeout 60m -v ./spec    every mix: two minutes, and about 4 GB of memory
//
// A mix with more than twelve million states fails as not exhausted, before it takes the memory of the machine. Such are the
// larger budgets together with a fail-over: they are explored with crashes or with snoozes, not with both.
//
// # How to read a trace
//
// A violation is printed with the shortest way to it: a line is a step, p0 and p1 are the processes, [g.t] is the record that
// the step is about, by generation and turn. Slots of a process are alike and not named. The last line, after =, is the
// state that breaks the property. "But the reply is lost" means that Redis has the new value and the caller does not know.
package spec
