package consumer

import (
	"errors"
	"fmt"
	"maps"

	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/internal/names"
)

// Rules are what is said of queues and types while a consumer runs, by its configuration and by operators. The zero value
// says nothing: everything may start.
type Rules struct {
	// Paused are queues of which nothing starts and nothing is fetched. What runs, runs on.
	Paused map[string]bool
	// Types are the rules of single types.
	Types map[string]Rule
}

// A Rule is what is said of one type.
type Rule struct {
	// Paused lets no task of the type start here. What runs, runs on.
	Paused bool
	// Limit is how many tasks of the type run at once in the whole cluster; 0: as many as there is room for. It needs
	// [Config.Limits].
	Limit int
}

// Limits hands out the slots of types that have a limit: places in the whole cluster, each for one task at a time. Package
// coord/limit has the one that is kept in etcd. All methods return at once and are safe for concurrent use.
type Limits interface {
	// Want says how many tasks of a type this node could have at work now: those that are, and those that wait and would
	// find room. 0: none; what nobody uses is given back.
	Want(typ string, n int)
	// Take takes a slot that this node has and no task of it uses, in a session that is trusted. False: there is none.
	Take(typ string) (*lease.Slot, bool)
	// Release says that the task in a slot has ended.
	Release(s *lease.Slot)
	// Notify has f called whenever Take may succeed for a type. f does not block.
	Notify(f func(typ string))
}

// Apply makes rules hold in place of those before, at once and for all that has not started. It may be called before Run
// and while it runs, one call at a time. Rules of queues and types that are not here do no harm.
func (c *Consumer) Apply(r Rules) error {
	types := maps.Clone(r.Types)
	for typ, rule := range types {
		switch {
		case rule.Limit < 0:
			return fmt.Errorf("apply rules: type %q: a limit of %d", typ, rule.Limit)
		case rule.Limit > 0 && c.cfg.Limits == nil:
			return errors.New("apply rules: a type has a limit, and nobody keeps the slots (Config.Limits)")
		case rule == Rule{}:
			delete(types, typ)
		}
	}
	for _, q := range c.queues {
		q.hold(r.Paused[q.Name])
	}
	c.gates.apply(types)
	return nil
}

// hold pauses a queue, or lets it go on.
func (q *queue) hold(paused bool) {
	if !q.consumer.slots.hold(q.share, paused) {
		return // so it is
	}
	topic := names.Pending(q.Name)
	if paused {
		q.log.Info("queue is paused: nothing of it starts")
		q.client.PauseFetchTopics(topic)
		return
	}
	q.log.Info("queue goes on")
	q.client.ResumeFetchTopics(topic)
}
