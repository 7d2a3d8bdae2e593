package limit

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A Usage is who has slots of a type and who waits for one. Sessions are ids as in the registry, nodes are names.
type Usage struct {
	Type    string   `json:"type"`
	Holders []Holder `json:"holders"` // by number
	Waiting []Waiter `json:"waiting"` // the one whose turn is next comes first
}

// A Holder has a slot.
type Holder struct {
	Number  int    `json:"number"`
	Token   int64  `json:"token"`
	Session string `json:"session"`
	Node    string `json:"node"`
}

// A Waiter stands in line for a slot.
type Waiter struct {
	Session string `json:"session"`
	Node    string `json:"node"`
}

// Read reads who has slots and who waits for them, for each type that somebody has or waits for a slot of, by name. What the
// limits are is not said there. prefix "" is the default. The caller bounds ctx: while etcd is away the answer does not come.
func Read(ctx context.Context, client *clientv3.Client, prefix string) ([]Usage, error) {
	k := keysUnder(prefix)
	reply, err := client.Get(ctx, string(k), clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("read slots %s of etcd at %s: %w", k, strings.Join(client.Endpoints(), ","), err)
	}
	v := newView(k, identity{}, reply)
	usage := make([]Usage, 0, len(v.types))
	for _, typ := range slices.Sorted(maps.Keys(v.types)) {
		u := Usage{Type: typ, Holders: []Holder{}, Waiting: []Waiter{}}
		for number, e := range v.types[typ].slots {
			u.Holders = append(u.Holders, Holder{Number: number, Token: e.token, Session: e.Session, Node: e.Node})
		}
		slices.SortFunc(u.Holders, func(a, b Holder) int { return cmp.Compare(a.Number, b.Number) })
		for _, e := range v.types[typ].waiting() {
			u.Waiting = append(u.Waiting, Waiter{Session: e.Session, Node: e.Node})
		}
		usage = append(usage, u)
	}
	return usage, nil
}
