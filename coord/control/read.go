package control

import (
	"context"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Read reads what operators have said. prefix begins all keys, "" is the default "/tasktier". The caller bounds ctx: while
// etcd is away the answer does not come.
func Read(ctx context.Context, client *clientv3.Client, prefix string) (State, error) {
	folder := folderOf(prefix)
	keys, _, err := readKeys(ctx, client, folder)
	if err != nil {
		return State{}, err
	}
	return newState(folder, keys), nil
}

// readKeys reads all keys, and returns the revision of etcd at which they were so.
func readKeys(ctx context.Context, client *clientv3.Client, folder string) (map[string]heard, int64, error) {
	reply, err := client.Get(ctx, folder, clientv3.WithPrefix())
	if err != nil {
		return nil, 0, fmt.Errorf("read %s of etcd at %s: %w", folder, endpoints(client), err)
	}
	keys := make(map[string]heard, len(reply.Kvs))
	for _, kv := range reply.Kvs {
		keys[string(kv.Key)] = newHeard(kv)
	}
	return keys, reply.Header.Revision, nil
}

func newHeard(kv *mvccpb.KeyValue) heard {
	h := heard{revision: kv.ModRevision}
	h.said, h.ignored = decode(kv.Value)
	return h
}

func endpoints(client *clientv3.Client) string { return strings.Join(client.Endpoints(), ",") }
