package coord

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tasktier/tasktier/internal/names"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A Member is a registered session. A node that just opened a new one can be there twice until the old one has run out.
type Member struct {
	// Session is its id, as claims have it.
	Session string `json:"session"`
	// Revision of etcd at which it joined: the higher, the later.
	Revision int64 `json:"revision"`
	// Entry is what it says of itself; all zero if that can't be read.
	Entry
}

// Members reads who is registered, by name, and by age where names are equal. prefix "" is the default. The caller bounds
// ctx: while etcd is away the answer does not come.
func Members(ctx context.Context, client *clientv3.Client, prefix string) ([]Member, error) {
	nodes := nodesKey(names.EtcdPrefix(prefix))
	reply, err := client.Get(ctx, nodes, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("read registry %s of etcd at %s: %w", nodes, endpoints(client), err)
	}
	members := make([]Member, 0, len(reply.Kvs))
	for _, kv := range reply.Kvs {
		members = append(members, newMember(strings.TrimPrefix(string(kv.Key), nodes), kv))
	}
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Revision, b.Revision))
	})
	return members, nil
}

// newMember is what a session's key says.
func newMember(session string, kv *mvccpb.KeyValue) Member {
	m := Member{Session: session, Revision: kv.CreateRevision}
	if json.Unmarshal(kv.Value, &m.Entry) != nil {
		m.Entry = Entry{} // somebody's whose entries have another form; that it is there is what counts
	}
	return m
}

// Alive asks etcd whether a session is registered, by a linearizable read. False says that it is gone. Whatever
// is in doubt is an error: etcd does not answer, or the session was used while etcd was away and may be about to register,
// which is over once this process has been registered for a TTL. The caller bounds ctx.
func (m *Membership) Alive(ctx context.Context, id string) (bool, error) {
	if !validID(id) {
		return false, fmt.Errorf("look for session %q: it is no session's id", id)
	}
	settled := m.settled() // before the read: what is true then was true at the read
	reply, err := m.cfg.Client.Get(ctx, m.key(id), clientv3.WithCountOnly())
	switch {
	case err != nil:
		return false, fmt.Errorf("look for session %s in etcd at %s: %w", id, endpoints(m.cfg.Client), err)
	case reply.Count > 0:
		return true, nil
	case kindOf(id) == usedFirst && !settled:
		return false, fmt.Errorf("look for session %s: etcd was away, and it may not be back yet", id)
	}
	return false, nil
}

func (m *Membership) key(id string) string { return nodesKey(m.cfg.Prefix) + id }

func nodesKey(prefix string) string { return prefix + "/nodes/" }

func endpoints(client *clientv3.Client) string { return strings.Join(client.Endpoints(), ",") }
