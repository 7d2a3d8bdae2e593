package storm

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/tasktier/tasktier/test/history"
	"github.com/tasktier/tasktier/test/nemesis"
)

// A crew are the processes of a round.
type crew struct {
	nodes, producers   []*member
	canceler, replayer *member
}

// newCrew prepares the processes of a round on a stage, with binary, in dir. With clocks, those of the nodes can be wrong; the
// binary has to be built for that.
func newCrew(s *stage, binary, dir string, clocks bool, load load, events *history.Writer) (*crew, error) {
	direct, err := s.servers.write(dir, "direct")
	if err != nil {
		return nil, err
	}
	o := orders{History: dir, Config: direct, Load: load}
	as := func(role, name string, change func(*orders)) *member {
		o := o
		o.Role = role
		change(&o)
		return newMember(dir, binary, name, events, o)
	}
	c := &crew{}
	for i, way := range s.ways {
		config, err := way.write(dir, nodeName(i))
		if err != nil {
			return nil, err
		}
		n := as(nodeRole, nodeName(i), func(o *orders) { o.Config = config })
		if clocks {
			if n.clock, err = nemesis.NewClock(filepath.Join(dir, n.name+".clock")); err != nil {
				return nil, err
			}
		}
		c.nodes = append(c.nodes, n)
	}
	for i := range load.Producers {
		c.producers = append(c.producers, as(producerRole, fmt.Sprintf("producer-%d", i+1), func(o *orders) { o.Index = i }))
	}
	c.canceler = as(cancelerRole, "canceler", func(*orders) {})
	c.replayer = as(replayerRole, "replayer", func(*orders) {})
	return c, nil
}

func (c *crew) others() []*member { return append([]*member{c.canceler, c.replayer}, c.producers...) }

// each does something with several members at once.
func each(members []*member, do func(*member) error) error {
	errs := make([]error, len(members))
	var doing sync.WaitGroup
	for i, m := range members {
		doing.Go(func() { errs[i] = do(m) })
	}
	doing.Wait()
	return errors.Join(errs...)
}

func (c *crew) close() error {
	return each(append(c.others(), c.nodes...), (*member).close)
}

func victims(members []*member) []*nemesis.Victim {
	var all []*nemesis.Victim
	for _, m := range members {
		all = append(all, &nemesis.Victim{Name: m.name, Class: nemesis.Node, Process: m})
	}
	return all
}
