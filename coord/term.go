package coord

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tasktier/tasktier/internal/names"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A Term is one time of leading in a duty: from the writing of the leader's key to its end.
type Term struct {
	key      string
	revision int64
}

// Number is the term's fencing token: the revision of etcd at which it began. Of two terms of one duty, the later one has
// the higher number.
func (t Term) Number() int64 { return t.revision }

// Lasts is the condition, for a transaction in etcd, that this term has not ended. What a duty writes under it can't be
// written by a leader of the past.
func (t Term) Lasts() clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(t.key), "=", t.revision)
}

// A Leader is who does a duty.
type Leader struct {
	// Session is its id, as in the registry.
	Session string `json:"session"`
	// Node is the node's name.
	Node string `json:"node"`
	// Term is the number of its term.
	Term int64 `json:"-"`
}

// ReadLeader reads who does a duty; false when nobody does. prefix "" is the default. The caller bounds ctx: while etcd is
// away the answer does not come.
func ReadLeader(ctx context.Context, client *clientv3.Client, prefix, duty string) (Leader, bool, error) {
	key := leaderKey(names.EtcdPrefix(prefix), duty)
	reply, err := client.Get(ctx, key)
	if err != nil {
		return Leader{}, false, fmt.Errorf("read leader %s of etcd at %s: %w", key, endpoints(client), err)
	}
	if len(reply.Kvs) == 0 {
		return Leader{}, false, nil
	}
	return newLeader(reply.Kvs[0]), true, nil
}

// Leaders reads who leads now, by duty. prefix "" is the default. The caller bounds ctx: while etcd is away the answer does
// not come.
func Leaders(ctx context.Context, client *clientv3.Client, prefix string) (map[string]Leader, error) {
	keys := leaderKey(names.EtcdPrefix(prefix), "")
	reply, err := client.Get(ctx, keys, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("read leaders %s of etcd at %s: %w", keys, endpoints(client), err)
	}
	leaders := make(map[string]Leader, len(reply.Kvs))
	for _, kv := range reply.Kvs {
		leaders[strings.TrimPrefix(string(kv.Key), keys)] = newLeader(kv)
	}
	return leaders, nil
}

// newLeader is what a leader's key says.
func newLeader(kv *mvccpb.KeyValue) Leader {
	var l Leader
	if json.Unmarshal(kv.Value, &l) != nil {
		l = Leader{} // somebody's who writes it in another form; that there is one is what counts
	}
	l.Term = kv.CreateRevision
	return l
}

func leaderKey(prefix, duty string) string { return prefix + "/leaders/" + duty }

// validDuty says whether a name can be part of a key.
func validDuty(name string) bool {
	if name == "" || len(name) > 300 {
		return false
	}
	for _, c := range []byte(name) {
		if c != '.' && !validID(string(c)) {
			return false
		}
	}
	return true
}
