// Package schedule sends a task at each tick of a clock, once for the whole cluster.
//
// A [Runner] is a duty of the leader (see [coord.Membership.Lead]), one for each queue that has schedules: the nodes that
// consume a queue run its schedules, and the leader's are those that hold. Package schedule/cron says when an expression
// ticks.
//
// # Once
//
// The task of a tick has the source [Source] and the id "name@tick", the tick being RFC 3339 in UTC. So whoever sends it,
// and how often, it is the same task, and claims let it run once. Where there are no claims (no Redis) it is sent at least
// once: what keeps it from being sent twice then is only what etcd remembers.
//
// For each tick, in this order: its task is sent; all in-sync replicas have it; etcd remembers the tick, if the leader's
// term lasts. A leader that dies in between leaves a tick that its successor sends again.
//
// # Keys in etcd
//
//	<prefix>/schedules/<queue>/<name>    JSON of a [Progress]
//
// Each tick costs one write of about 150 bytes. A schedule that is not configured any more has its key deleted by the next
// leader.
//
// # Ticks that are late
//
// A tick that is late by no more than [Grace] is sent, whatever happened: that is what a change of leaders takes. An older
// one was missed, and what becomes of it is the entry's [Missed]. What is missed are ticks since the last one that etcd
// remembers; a schedule that is new, or whose expression or zone has changed, has missed nothing and starts now.
//
// # Clocks
//
// It is the leader's clock that ticks. One that is set forward makes the ticks in between late, by the rule above. One that
// is set back repeats none: the next tick is one after the last that was sent. Nodes whose clocks differ by a second send
// ticks that much sooner or later when the lead changes hands, but none twice.
package schedule
