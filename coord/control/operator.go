package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// An Operator steers the cluster. Each of its methods says something, and returns whether that was new: what is said already
// is not said again, by whomever it was. An error is etcd's, or wraps [ErrNewer]. The caller bounds ctx: while etcd is away
// the answer does not come.
type Operator struct {
	// Client reaches etcd. It stays its owner's. Required.
	Client *clientv3.Client
	// Prefix begins all keys. Default "/tasktier".
	Prefix string
	// Name tells people who says it. Default: nobody is named.
	Name string
}

// PauseQueue has no node start tasks of a queue. What runs goes on.
func (o Operator) PauseQueue(ctx context.Context, queue string) (changed bool, err error) {
	return o.say(ctx, queues, queue, func(v *said) { v.Paused = true })
}

// ResumeQueue takes PauseQueue back.
func (o Operator) ResumeQueue(ctx context.Context, queue string) (changed bool, err error) {
	return o.say(ctx, queues, queue, func(v *said) { v.Paused = false })
}

// PauseType has no node start tasks of a type. What runs goes on.
func (o Operator) PauseType(ctx context.Context, typ string) (changed bool, err error) {
	return o.say(ctx, types, typ, func(v *said) { v.Paused = true })
}

// ResumeType takes PauseType back.
func (o Operator) ResumeType(ctx context.Context, typ string) (changed bool, err error) {
	return o.say(ctx, types, typ, func(v *said) { v.Paused = false })
}

// LimitType says how many tasks of a type may run at once in the whole cluster, whatever the configuration says; 0: as many
// as want to. At most [MaxLimit].
func (o Operator) LimitType(ctx context.Context, typ string, n int) (changed bool, err error) {
	if n < 0 || n > MaxLimit {
		return false, fmt.Errorf("limit type %q: %d is not from 0 to %d", typ, n, MaxLimit)
	}
	return o.say(ctx, types, typ, func(v *said) { v.Limit = &n })
}

// DefaultLimit takes LimitType back: the configuration's limit holds again.
func (o Operator) DefaultLimit(ctx context.Context, typ string) (changed bool, err error) {
	return o.say(ctx, types, typ, func(v *said) { v.Limit = nil })
}

// DrainNode has the nodes of a name finish what runs, give up their partitions and duties, and idle. It needs no node of that
// name to be there: one that comes is drained.
func (o Operator) DrainNode(ctx context.Context, node string) (changed bool, err error) {
	return o.say(ctx, nodes, node, func(v *said) { v.Drained = true })
}

// ResumeNode takes DrainNode back.
func (o Operator) ResumeNode(ctx context.Context, node string) (changed bool, err error) {
	return o.say(ctx, nodes, node, func(v *said) { v.Drained = false })
}

// say changes what is said of a name, until nobody else has changed it meanwhile.
func (o Operator) say(ctx context.Context, about, name string, edit func(*said)) (changed bool, err error) {
	k := key(folderOf(o.Prefix), about, name)
	if name == "" {
		return false, fmt.Errorf("steer %s: %w", about, errName)
	}
	for {
		reply, err := o.Client.Get(ctx, k)
		if err != nil {
			return false, fmt.Errorf("read %s of etcd at %s: %w", k, endpoints(o.Client), err)
		}
		var before heard
		if len(reply.Kvs) > 0 {
			before = newHeard(reply.Kvs[0])
		}
		change, err := o.change(k, before, edit)
		if change == nil || err != nil {
			return false, err
		}
		written, err := o.Client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(k), "=", before.revision)).
			Then(*change).
			Commit()
		if err != nil {
			return false, fmt.Errorf("write %s to etcd at %s: %w", k, endpoints(o.Client), err)
		}
		if written.Succeeded {
			return true, nil
		}
	}
}

// change is what is to be done to a key, nil for nothing. A value that can't be read is as none: nobody obeys it.
func (o Operator) change(k string, before heard, edit func(*said)) (*clientv3.Op, error) {
	if errors.Is(before.ignored, ErrNewer) {
		return nil, fmt.Errorf("change %s: %w; use that version's command", k, before.ignored)
	}
	after := before.said
	edit(&after)
	if before.ignored == nil && after.agrees(before.said) {
		return nil, nil
	}
	if after.nothing() {
		op := clientv3.OpDelete(k)
		return &op, nil
	}
	after.By, after.At = o.Name, time.Now().UTC().Truncate(time.Second)
	text, err := after.encode()
	if err != nil {
		return nil, fmt.Errorf("change %s: %w", k, err)
	}
	op := clientv3.OpPut(k, text)
	return &op, nil
}
