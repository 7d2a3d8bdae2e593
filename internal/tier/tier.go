// Package tier says where a task waits for its time: the retry tiers are a timing wheel of two wheels, whose slots are
// partitions of two topics. It is arithmetic without a clock, so that producers, consumers and forwarders agree.
//
// # The wheels
//
// A task that is due at t waits in partition ⌊t / slot⌋ mod partitions of a tier. The minute tier has 90 slots of a minute
// and takes what is due within 80 minutes; the hour tier has 48 slots of an hour and takes what is due within 46 hours. What
// is due later waits in the furthest slot of the hour tier and is routed again there. When an hour slot opens, its tasks move
// to the minute tier; when a minute slot opens, each of its tasks moves to its queue on its millisecond.
//
// # When a slot is open
//
// From a lead before its start until its end and some more: what is written late, by a clock that is behind or a send that
// took long, still finds it open. In between, the partition is not read at all.
//
// # Invariants
//
//   - Horizon + OpenFor ≤ Partitions × Slot: while a slot is open, nothing of its next lap is written to its partition,
//     but for clocks that are wrong.
//   - Slot + Lead of the hour tier ≤ Horizon of the minute tier: what an open hour slot holds fits the minute tier.
//   - SendTimeout + the skew of clocks < OpenFor − Slot: what was routed to a slot arrives while it is open.
package tier

import "time"

// A Tier is one of the two wheels.
type Tier struct {
	Partitions int32
	Slot       time.Duration // length of a slot
	Horizon    time.Duration // how far ahead its dues may lie
	Lead       time.Duration // a slot opens this long before its start
	OpenFor    time.Duration // and closes this long after its start
}

// The tiers.
var (
	Minute = Tier{Partitions: 90, Slot: time.Minute, Horizon: 80 * time.Minute, Lead: 2 * time.Second, OpenFor: 10 * time.Minute}
	Hour   = Tier{Partitions: 48, Slot: time.Hour, Horizon: 46 * time.Hour, Lead: 5 * time.Minute, OpenFor: 70 * time.Minute}
)

// SendTimeout is how long a record may take to be written to a slot before it must be routed again.
const SendTimeout = 2 * time.Minute

// A Place is a partition of a tier; the zero Place is the queue itself.
type Place struct {
	Hour      bool // of the hour tier, else of the minute tier
	Wait      bool // false: nowhere; it is due
	Partition int32
}

// Route says where a task waits that is due at due, when it is now. Any due has a place, however absurd.
func Route(due, now time.Time) Place {
	switch ahead := due.Sub(now); {
	case ahead <= 0:
		return Place{}
	case ahead <= Minute.Horizon:
		return Place{Wait: true, Partition: Minute.Partition(due)}
	case ahead <= Hour.Horizon:
		return Place{Wait: true, Hour: true, Partition: Hour.Partition(due)}
	default:
		return Place{Wait: true, Hour: true, Partition: Hour.Partition(now.Add(Hour.Horizon))}
	}
}

// Partition is the slot of a due.
func (t Tier) Partition(due time.Time) int32 {
	n := floorDiv(due.UnixMilli(), t.Slot.Milliseconds()) % int64(t.Partitions)
	if n < 0 {
		n += int64(t.Partitions)
	}
	return int32(n)
}

// Latest is the start of the latest slot of a partition that has opened by now. The slot is open from Lead before its
// start until OpenFor after it.
func (t Tier) Latest(partition int32, now time.Time) time.Time {
	slot, lap := t.Slot.Milliseconds(), t.lap()
	open := now.Add(t.Lead).UnixMilli()
	first := int64(partition) * slot
	return time.UnixMilli(first + floorDiv(open-first, lap)*lap)
}

// Next is the start of the slot of a partition that opens next.
func (t Tier) Next(partition int32, now time.Time) time.Time {
	return t.Latest(partition, now).Add(time.Duration(t.lap()) * time.Millisecond)
}

// lap is how long the wheel takes to come round, in milliseconds.
func (t Tier) lap() int64 { return int64(t.Partitions) * t.Slot.Milliseconds() }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
