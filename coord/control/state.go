package control

import (
	"maps"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A State is all that operators have said. It is made by [Read] and by a [Watcher], and has only what is steered: of what is
// not there, the zero value holds. Its maps are its receiver's.
type State struct {
	Queues map[string]Queue
	Types  map[string]Type
	Nodes  map[string]Node
	// Ignored are the keys that are not obeyed, and why.
	Ignored map[string]error

	folder string           // of the keys
	types  map[string]int64 // the revisions of keys of types, also of those that are ignored
}

// A Queue is what is said of a queue.
type Queue struct {
	// Paused: no node starts tasks of the queue. What runs goes on.
	Paused bool
	// By and At tell people who said so, and when by that one's clock.
	By string
	At time.Time
}

// A Type is what is said of a type of task.
type Type struct {
	// Paused: no node starts tasks of the type. What runs goes on.
	Paused bool
	// Limit is how many tasks of the type may run at once in the whole cluster. 0: as many as want to. Nil: as the
	// configuration says. It is not to be written to.
	Limit *int
	// By and At tell people who said the latest of it, and when by that one's clock.
	By string
	At time.Time
}

// A Node is what is said of the nodes of a name.
type Node struct {
	// Drained: it finishes what runs, gives up its partitions and duties, and idles.
	Drained bool
	// By and At tell people who said so, and when by that one's clock.
	By string
	At time.Time
}

// Lasts is the condition, for a transaction in etcd, that what is said of a type is still what this state has.
func (s State) Lasts(typ string) clientv3.Cmp {
	// A key that is not there has the revision 0.
	return clientv3.Compare(clientv3.ModRevision(key(s.folder, types, typ)), "=", s.types[typ])
}

// A heard is a key as it was read.
type heard struct {
	revision int64
	said     said
	ignored  error // why it is not obeyed
}

// newState says what keys say together.
func newState(folder string, keys map[string]heard) State {
	s := State{
		Queues: map[string]Queue{}, Types: map[string]Type{}, Nodes: map[string]Node{}, Ignored: map[string]error{},
		folder: folder, types: map[string]int64{},
	}
	for k, h := range keys {
		about, name, err := parseKey(folder, k)
		if about == types && err == nil {
			s.types[name] = h.revision
		}
		if err == nil {
			err = h.ignored
		}
		if err != nil {
			s.Ignored[k] = err
			continue
		}
		v := h.said
		switch {
		case about == queues && v.Paused:
			s.Queues[name] = Queue{v.Paused, v.By, v.At}
		case about == types && (v.Paused || v.Limit != nil):
			s.Types[name] = Type{v.Paused, v.Limit, v.By, v.At}
		case about == nodes && v.Drained:
			s.Nodes[name] = Node{v.Drained, v.By, v.At}
		}
	}
	return s
}

// same says whether two readings found the same.
func same(a, b map[string]heard) bool {
	return maps.EqualFunc(a, b, func(x, y heard) bool { return x.revision == y.revision })
}
