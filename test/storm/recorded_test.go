package storm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/tasktier/tasktier/test/history"
	"github.com/tasktier/tasktier/test/nemesis"
)

// A recorder has faults written down: before they do harm, and after they are mended.
type recorder struct {
	events *history.Writer
	nodes  []*member
	count  atomic.Int64
}

// fault is f, written down.
func (r *recorder) fault(f nemesis.Fault) nemesis.Fault {
	hit := f.Hit
	f.Hit = func(ctx context.Context) (nemesis.Wound, error) {
		n := r.count.Add(1)
		e := history.Event{Kind: history.Fault, Name: fmt.Sprintf("%s %s #%d %s", f.Class, f.Name, n, f.Target)}
		var node *member
		switch f.Class {
		case nemesis.Kafka, nemesis.Redis, nemesis.Etcd:
			e.Server = string(f.Class)
		case nemesis.Network:
			node, e.Server = r.between(f.Target)
			e.Name = fmt.Sprintf("%s to %s %s #%d %s", f.Class, e.Server, f.Name, n, node.name)
		case nemesis.ClockClass:
			node, e.Step = r.named(strings.TrimSuffix(f.Target, " clock")), f.Step.Microseconds()
		default: // of a process, which tells by itself what becomes of it
		}
		switch {
		case f.Excuse&nemesis.Forgotten != 0:
			e.Forgets = history.Flushed
		case f.Excuse&nemesis.RolledBack != 0:
			e.Forgets = history.RolledBack
		}
		over, err := r.begin(node, e)
		if err != nil {
			return nemesis.Wound{}, err
		}
		w, err := hit(ctx)
		if err != nil {
			return w, errors.Join(err, over())
		}
		mend := w.Mend
		w.Mend = func(ctx context.Context) error {
			if err := mend(ctx); err != nil {
				return err
			}
			return over()
		}
		return w, nil
	}
	return f
}

// begin writes that a fault begins, and returns how its end is written. One of a node, or between it and a server, is that of
// each life which the node has meanwhile.
func (r *recorder) begin(node *member, e history.Event) (over func() error, err error) {
	if node != nil {
		return node.trouble(e)
	}
	return func() error {
		e.Kind = history.Mended
		return r.events.Write(e)
	}, r.events.Write(e)
}

// between says whose way to which service a route is.
func (r *recorder) between(route string) (*member, string) {
	name, server, _ := strings.Cut(route, " to ")
	return r.named(name), server
}

func (r *recorder) named(name string) *member {
	for _, m := range r.nodes {
		if m.name == name {
			return m
		}
	}
	panic("there is no node " + name) // stages and faults name them so
}
