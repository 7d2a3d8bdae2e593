// Package nemesis is what goes wrong in the end-to-end tests: which faults there are, when they happen, and how each is
// mended.
//
// A [Fault] is a value: a name, a target, and a function that does the harm and returns how it is undone. [Make] deals a
// [Plan] from a menu of faults and a seed, within [Limits]; the same seed makes the same plan. A [Runner] carries a plan
// out, tells of every beginning and end, and leaves all mended, however it ends.
//
// What a plan does is repeatable, what comes of it is not: processes and kernels have timing of their own.
//
// # Faults
//
//   - Of processes, whether nodes or servers: [Killed], [Paused], [Stopped]; and of whoever plays a role when it happens,
//     such as leader: [RoleKilled] and its kin, [EtcdLeader].
//   - Of servers beside that: [Emptied], a Redis that has lost its data; [FailedOver], a Redis Cluster whose replica takes
//     over; [Together], such as two brokers of three; [Then], for what takes longer to be well again than to start.
//   - Of the network between one node and one service: a [Proxy] for each server of it, which are a [Route] together; it
//     can be cut, hang, be slow or narrow, or lose replies. Kafka sends clients on to addresses of its own, so a route to it
//     is a listener of each broker's: [KafkaRoute]. There is none to a Redis Cluster, see [NewRoute].
//   - Of the clock of one process: a [Clock]. The process is built by [ClockPatches].
//
// A full disk is not among them: the embedded stack ends with it, as it must (see package embedded, which shows it), and a
// plan mends what it breaks.
//
// A fault says what it excuses: which promise does not hold for whom while it lasts. What no fault excuses is a violation.
package nemesis
