package nemesis

import (
	"context"
	"strings"
	"time"
)

// A Fault is something that can go wrong and be mended. It is a value without state: it may happen many times.
type Fault struct {
	// Name says what happens, such as "killed" or "restarted empty".
	Name string
	// Target is whom it happens to, such as "node-2" or "node-2 to redis". A plan never lets two faults of one target
	// overlap. A role, such as "leader", is nobody's name: see [Role].
	Target string
	Class  Class
	// Lasts is how long it may last until it is mended.
	Lasts Span
	// Excuse is what may follow and breaks no promise.
	Excuse Excuse
	// Step is by how much the target's clock is ahead meanwhile.
	Step time.Duration
	// Hit does the harm and returns how it is mended. If it fails it has mended what it did. An error that wraps
	// [ErrBusy] means that there was nobody to hit; nothing happened.
	Hit func(ctx context.Context) (Wound, error)
}

// A Wound is harm that was done.
type Wound struct {
	// Whom it hit, if the fault's target is a role.
	Whom string
	// Mend undoes the harm and returns when that is done. It is called once.
	Mend func(ctx context.Context) error
}

// A Class is the kind of thing that is hit. A plan bounds how many faults of each happen at a time.
type Class string

// The classes.
const (
	Node    Class = "node" // a process of the product's
	Kafka   Class = "kafka"
	Redis   Class = "redis"
	Etcd    Class = "etcd"
	Network Class = "network" // between a node and a server
	Disk    Class = "disk"
	// ClockClass is of one process.
	ClockClass Class = "clock"
)

// A Span is a least and a most, both possible.
type Span struct{ Least, Most time.Duration }

// An Excuse is what a fault may cause without a promise being broken: a set of the constants below.
type Excuse uint

// What may be excused. Each holds for attempts that were in flight when the fault began, or began while it lasted or up
// to a lease's length after its end.
const (
	// Died: the node's process ends. What it had in flight runs again, and has a crash on its account.
	Died Excuse = 1 << iota
	// SessionLost: a node may lose its session though its process lives; all nodes, if the fault is one of etcd's. What it
	// had in flight runs again, and what it says of it counts for nothing.
	SessionLost
	// Forgotten: Redis has lost all it knew. What is delivered again may run again, and fences begin anew from the clock.
	Forgotten
	// RolledBack: Redis may have lost what it was told last. The same, for those tasks.
	RolledBack
	// Stepped: the clock of one node is wrong. What it calls due is not due by the clocks of others.
	Stepped
)

// String is the words, for logs.
func (e Excuse) String() string {
	var words []string
	for i, word := range []string{"died", "session-lost", "forgotten", "rolled-back", "stepped"} {
		if e&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	if words == nil {
		return "none"
	}
	return strings.Join(words, "+")
}

// String names the fault and its target.
func (f Fault) String() string { return f.Target + " " + f.Name }
