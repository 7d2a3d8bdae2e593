package limit

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// An outcome is what has become of a step.
type outcome int

const (
	written  outcome = iota // it is done
	refused                 // what it was decided upon is not so any more
	outdated                // the limit does not count any more
)

// batch is how many steps one transaction takes: etcd allows 128 operations, counted along each branch of conditions.
const batch = 60

// op is a step as a transaction within a transaction, by itself successful or not.
func (s step) op(k keys, mine identity) clientv3.Op {
	slot, ticket := k.slot(s.typ, s.number), k.ticket(s.typ, mine.session)
	switch s.do {
	case give:
		return clientv3.OpTxn([]clientv3.Cmp{created(slot, s.token)}, []clientv3.Op{clientv3.OpDelete(slot)}, nil)
	case tear:
		return clientv3.OpTxn([]clientv3.Cmp{created(ticket, s.token)}, []clientv3.Op{clientv3.OpDelete(ticket)}, nil)
	case stand:
		return clientv3.OpTxn([]clientv3.Cmp{absent(ticket)}, []clientv3.Op{clientv3.OpPut(ticket, mine.value, clientv3.WithLease(mine.grant))}, nil)
	case take, redeem:
	}
	vacant := []clientv3.Cmp{absent(slot), k.noneBeyond(s.typ, s.limit.N)}
	then := []clientv3.Op{clientv3.OpPut(slot, mine.value, clientv3.WithLease(mine.grant))}
	if s.do == redeem {
		vacant = append(vacant, created(ticket, s.token))
		then = append(then, clientv3.OpDelete(ticket))
	} else {
		vacant = append(vacant, k.nobodyWaits(s.typ))
	}
	if s.limit.Conditional { // apart from the others, so that its failing can be told from theirs
		then = []clientv3.Op{clientv3.OpTxn([]clientv3.Cmp{s.limit.Lasts}, then, nil)}
	}
	return clientv3.OpTxn(vacant, then, nil)
}

// commit does steps in one transaction and returns what has become of each, and the revision at which they were written. An
// error says that nothing is known of them.
func commit(ctx context.Context, client *clientv3.Client, k keys, mine identity, steps []step) ([]outcome, int64, error) {
	ops := make([]clientv3.Op, len(steps))
	for i, s := range steps {
		ops[i] = s.op(k, mine)
	}
	reply, err := client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return nil, 0, fmt.Errorf("write %s: %w", k, err)
	}
	outcomes := make([]outcome, len(steps))
	for i, r := range reply.Responses {
		outer := r.GetResponseTxn()
		switch {
		case !outer.Succeeded:
			outcomes[i] = refused
		case (steps[i].do == take || steps[i].do == redeem) && steps[i].limit.Conditional && !outer.Responses[0].GetResponseTxn().Succeeded:
			outcomes[i] = outdated
		}
	}
	return outcomes, reply.Header.Revision, nil
}
