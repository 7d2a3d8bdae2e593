package limit

import (
	"context"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// What was decided upon an old view is written only if it holds.
func TestStepsAreConditional(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := clientv3.New(clientv3.Config{Endpoints: testenv.Etcd(t), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	grant, err := client.Grant(ctx, 600)
	if err != nil {
		t.Fatal(err)
	}
	const typ = "a/b"
	mine := identity{session: me, grant: grant.ID, value: "mine"}
	two := Limit{N: 2}
	missing := "/" + testenv.Unique(t)
	ifMissing := Limit{N: 2, Conditional: true, Lasts: clientv3.Compare(clientv3.CreateRevision(missing), "=", 0)}
	ifThere := Limit{N: 2, Conditional: true, Lasts: clientv3.Compare(clientv3.CreateRevision(missing), ">", 0)}
	type has map[string]bool // "0" is slot 0, "a" the ticket of a session; true: of the revision that the step means
	for _, tt := range []struct {
		name   string
		has    has
		step   step
		wants  outcome
		leaves []string
	}{
		{"take", has{}, step{do: take, limit: two}, written, []string{"0"}},
		{"take beside another one", has{"1": false}, step{do: take, limit: two}, written, []string{"0", "1"}},
		{"take what another one has", has{"0": false}, step{do: take, limit: two}, refused, []string{"0"}},
		{"take before somebody who waits", has{"a": false}, step{do: take, limit: two}, refused, []string{"a"}},
		{"take beside one beyond the limit", has{"2": false}, step{do: take, limit: two}, refused, []string{"2"}},
		{"take while the limit counts", has{}, step{do: take, limit: ifMissing}, written, []string{"0"}},
		{"take when it counts no more", has{}, step{do: take, limit: ifThere}, outdated, nil},
		{"redeem", has{me: true, "a": false}, step{do: redeem, limit: two}, written, []string{"0", "a"}},
		{"redeem for what another one has", has{me: true, "0": false}, step{do: redeem, limit: two}, refused, []string{"0", me}},
		{"redeem a ticket that is gone", has{}, step{do: redeem, limit: two, token: 1}, refused, nil},
		{"redeem a ticket of another time", has{me: false}, step{do: redeem, limit: two}, refused, []string{me}},
		{"redeem beside one beyond the limit", has{me: true, "7": false}, step{do: redeem, limit: two}, refused, []string{"7", me}},
		{"redeem when the limit counts no more", has{me: true}, step{do: redeem, limit: ifThere}, outdated, []string{me}},
		{"stand", has{"a": false}, step{do: stand}, written, []string{"a", me}},
		{"stand twice", has{me: false}, step{do: stand}, refused, []string{me}},
		{"give", has{"0": true}, step{do: give}, written, nil},
		{"give what another one has by now", has{"0": false}, step{do: give}, refused, []string{"0"}},
		{"give what is gone", has{}, step{do: give, token: 1}, refused, nil},
		{"tear", has{me: true}, step{do: tear}, written, nil},
		{"tear another one", has{me: false}, step{do: tear}, refused, []string{me}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := keysUnder("/" + testenv.Unique(t))
			key := func(what string) string {
				if what[0] >= '0' && what[0] <= '9' {
					return k.slot(typ, int(what[0]-'0'))
				}
				return k.ticket(typ, what)
			}
			tt.step.typ = typ
			for what, meant := range tt.has {
				put, err := client.Put(ctx, key(what), "theirs")
				if err != nil {
					t.Fatal(err)
				}
				if meant {
					tt.step.token = put.Header.Revision
				} else if tt.step.token == 0 {
					tt.step.token = 1
				}
			}
			outcomes, revision, err := commit(ctx, client, k, mine, []step{tt.step})
			if err != nil {
				t.Fatal(err)
			}
			if outcomes[0] != tt.wants {
				t.Errorf("the outcome is %d, want %d", outcomes[0], tt.wants)
			}
			reply, err := client.Get(ctx, string(k), clientv3.WithPrefix())
			if err != nil {
				t.Fatal(err)
			}
			left := make(map[string]bool)
			for _, kv := range reply.Kvs {
				left[string(kv.Key)] = true
				if new := string(kv.Value) == "mine"; new && (kv.Lease != int64(grant.ID) || kv.CreateRevision != revision) {
					t.Errorf("%s has lease %x and revision %d, want %x and %d", kv.Key, kv.Lease, kv.CreateRevision, grant.ID, revision)
				}
			}
			if len(left) != len(tt.leaves) {
				t.Errorf("there are %v, want %v", left, tt.leaves)
			}
			for _, what := range tt.leaves {
				if !left[key(what)] {
					t.Errorf("there are %v, want %v", left, tt.leaves)
				}
			}
		})
	}
}

// A transaction takes as many steps as a batch has.
func TestBatchFitsIntoATransaction(t *testing.T) {
	t.Parallel()
	client, err := clientv3.New(clientv3.Config{Endpoints: testenv.Etcd(t), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	grant, err := client.Grant(t.Context(), 600)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	lasting := Limit{N: batch, Conditional: true, Lasts: clientv3.Compare(clientv3.CreateRevision("/none"), "=", 0)}
	for i := range batch {
		steps = append(steps, step{typ: "t", do: take, number: i, limit: lasting})
	}
	outcomes, _, err := commit(t.Context(), client, keysUnder("/"+testenv.Unique(t)), identity{me, grant.ID, "mine"}, steps)
	if err != nil {
		t.Fatal(err)
	}
	for i, what := range outcomes {
		if what != written {
			t.Fatalf("step %d has the outcome %d", i, what)
		}
	}
}
