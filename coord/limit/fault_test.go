package limit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord/limit"
	"github.com/tasktier/tasktier/internal/testenv"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestLostReplies(t *testing.T) {
	t.Parallel()
	t.Run("to a taking", func(t *testing.T) {
		t.Parallel()
		prefix, client := unique(t), reader(t, testenv.Etcd(t))
		n := join(t, prefix, testenv.Etcd(t), 3, nil)
		lost := n.wire.loses(1)
		n.Want(typ, 1)
		hears(t, lost, "the reply is lost")
		slot := n.takes()
		n.hasNone()
		if got := usage(t, client, prefix).Holders; len(got) != 1 || got[0].Token != slot.Token {
			t.Errorf("it has %+v, and there are %+v", slot, got)
		}
	})
	t.Run("to a taking that nobody wants any more", func(t *testing.T) {
		t.Parallel()
		prefix, client := unique(t), reader(t, testenv.Etcd(t))
		n := join(t, prefix, testenv.Etcd(t), 1, nil)
		lost := n.wire.loses(1)
		n.Want(typ, 1)
		hears(t, lost, "the reply is lost")
		n.Want(typ, 0)
		within(t, "it is given back", func() bool { return len(usage(t, client, prefix).Holders) == 0 })
	})
	t.Run("to a giving", func(t *testing.T) {
		t.Parallel()
		prefix := unique(t)
		a, b := join(t, prefix, testenv.Etcd(t), 1, func(s *setting) { s.Fair = 1 }), join(t, prefix, testenv.Etcd(t), 1, nil)
		a.Want(typ, 1)
		slot := a.takes()
		b.Want(typ, 1)
		b.waits()
		lost := a.wire.loses(1)
		within(t, "it has heard that somebody waits", func() bool {
			a.Release(slot)
			_, ok := a.Take(typ)
			return !ok
		})
		a.hasNone() // what is on its way back is not used again
		hears(t, lost, "the reply is lost")
		got := b.takes()
		a.hasNone()
		b.Release(got)
		a.takes()
	})
	t.Run("to a ticket and to its turn", func(t *testing.T) {
		t.Parallel()
		prefix, client := unique(t), reader(t, testenv.Etcd(t))
		a, b := join(t, prefix, testenv.Etcd(t), 1, nil), join(t, prefix, testenv.Etcd(t), 1, nil)
		a.Want(typ, 1)
		slot := a.takes()
		lost := b.wire.loses(1)
		b.Want(typ, 1)
		hears(t, lost, "the reply is lost")
		b.waits()
		lost = b.wire.loses(1)
		a.Want(typ, 0)
		a.Release(slot)
		hears(t, lost, "the reply is lost")
		b.takes()
		if got := usage(t, client, prefix); len(got.Holders) != 1 || len(got.Waiting) != 0 {
			t.Errorf("there are %+v", got)
		}
	})
}

func TestSessionIsLostWhileASlotIsHeld(t *testing.T) {
	t.Parallel()
	prefix, client := unique(t), reader(t, testenv.Etcd(t))
	n := join(t, prefix, testenv.Etcd(t), 2, func(s *setting) { s.Linger, s.Fair = never, never })
	n.Want(typ, 2)
	used := n.takes()
	n.Release(n.takes()) // and an idle one
	r, err := n.members.Registered(deadline(t))
	must(t, err)
	_, err = client.Revoke(deadline(t), r.Grant)
	must(t, err)
	hears(t, r.Lease.Done(), "the session ends")
	if slot, ok := n.Take(typ); ok && slot.Lease == r.Lease {
		t.Error("a slot of a session that is over was handed out")
	}
	n.Release(used) // of no effect any more
	for range 2 {   // the new session has slots of its own
		if slot := n.takes(); slot.Lease == r.Lease || slot.Token <= used.Token {
			t.Errorf("after %+v it took %+v", used, slot)
		}
	}
}

// A session that is not trusted hands out nothing, whatever its limiter has heard.
func TestTakeAsksForTrust(t *testing.T) {
	t.Parallel()
	n := join(t, unique(t), testenv.Etcd(t), 1, func(s *setting) { s.Linger, s.Fair, s.ttl = never, never, 3*time.Second })
	n.Want(typ, 1)
	slot := n.takes()
	n.Release(slot)
	n.wire.cut()
	slot.Lease.End()
	if got, ok := n.Take(typ); ok && got == slot {
		t.Error("a slot was handed out after the end of its session")
	}
	within(t, "it has none any more", func() bool { return n.stats() == limit.Stats{N: 1} })
	n.wire.heal()
	if next := n.takes(); next.Token <= slot.Token || next.Lease == slot.Lease {
		t.Errorf("after %+v it took %+v", slot, next)
	}
}

func TestKeyDeletedByHand(t *testing.T) {
	t.Parallel()
	prefix, client := unique(t), reader(t, testenv.Etcd(t))
	a, b := join(t, prefix, testenv.Etcd(t), 1, nil), join(t, prefix, testenv.Etcd(t), 1, nil)
	a.Want(typ, 1)
	slot := a.takes()
	b.Want(typ, 1)
	b.waits()
	_, err := client.Delete(deadline(t), fmt.Sprintf("%s/limits/%s/slots/%06d", prefix, typ, slot.Number))
	must(t, err)
	got := b.takes()
	if got.Token <= slot.Token {
		t.Errorf("the later token is %d after %d", got.Token, slot.Token)
	}
	b.Want(typ, 0)
	b.Release(got)
	stays(t, 200*time.Millisecond, "its task is at work still, so it takes no other slot", func() bool { _, ok := a.Take(typ); return !ok })
	a.Release(slot)
	if next := a.takes(); next.Token <= got.Token {
		t.Errorf("token %d comes after %d", next.Token, got.Token)
	}
}

// Releasing a permit that was lost does not delete the permit of its next holder. Pitfall 36 of docs/pitfalls.md.
func TestReleaseDeletesOnlyItsOwnPermit(t *testing.T) {
	t.Parallel()
	prefix, client := unique(t), reader(t, testenv.Etcd(t))
	n := join(t, prefix, testenv.Etcd(t), 1, func(s *setting) { s.Linger = 300 * time.Millisecond })
	n.Want(typ, 1)
	slot := n.takes()
	key := fmt.Sprintf("%s/limits/%s/slots/%06d", prefix, typ, slot.Number)
	n.wire.cut() // so that it does not see what follows
	_, err := client.Delete(deadline(t), key)
	must(t, err)
	put, err := client.Put(deadline(t), key, "another's")
	must(t, err)
	n.Want(typ, 0)
	n.Release(slot)
	n.wire.heal()
	within(t, "it has seen that", func() bool { return n.stats() == limit.Stats{N: 1} })
	stays(t, 500*time.Millisecond, "it is left alone", func() bool {
		reply, err := client.Get(deadline(t), key)
		must(t, err)
		return len(reply.Kvs) == 1 && reply.Kvs[0].ModRevision == put.Header.Revision
	})
}

// Two limiters of one session do not hold the same permit: the second acquires it when the first has released it.
// Pitfall 35 of docs/pitfalls.md.
func TestLimitersOfOneSessionShareTheLimit(t *testing.T) {
	t.Parallel()
	prefix := unique(t)
	one := join(t, prefix, testenv.Etcd(t), 1, nil)
	second, err := limit.New(limit.Config{Client: reader(t, testenv.Etcd(t)), Prefix: prefix, Members: one.members, Node: "node"})
	must(t, err)
	second.Set(map[string]limit.Limit{typ: {N: 1}})
	run(t, second.Run)
	one.Want(typ, 1)
	slot := one.takes()
	second.Want(typ, 1)
	stays(t, 300*time.Millisecond, "the other one has none", func() bool { _, ok := second.Take(typ); return !ok })
	one.Want(typ, 0)
	one.Release(slot)
	within(t, "the other one has it", func() bool { _, ok := second.Take(typ); return ok })
}

// A limiter that waits notices a released permit even if the event was compacted before the watch delivered it. Pitfall
// 38 of docs/pitfalls.md.
func TestReleasedPermitIsNoticedAcrossCompaction(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.StartEtcd(t), unique(t)
	client := reader(t, server.Endpoints())
	slow := func(s *setting) { s.ttl = 2 * never }
	a, b := join(t, prefix, server.Endpoints(), 1, slow), join(t, prefix, server.Endpoints(), 1, slow)
	a.Want(typ, 1)
	slot := a.takes()
	b.Want(typ, 1)
	b.waits()
	b.wire.cut()
	a.Want(typ, 0)
	a.Release(slot)
	within(t, "it is free", func() bool { return len(usage(t, client, prefix).Holders) == 0 })
	put, err := client.Put(deadline(t), "/more", "")
	must(t, err)
	_, err = client.Compact(deadline(t), put.Header.Revision, clientv3.WithCompactPhysical())
	must(t, err)
	b.wire.heal()
	b.takes()
}

func TestEtcdAwayForAMoment(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.StartEtcd(t), unique(t)
	slow := func(s *setting) { s.ttl = 2 * never; s.Fair, s.Linger = never, never }
	n := join(t, prefix, server.Endpoints(), 2, slow)
	n.Want(typ, 1)
	slot := n.takes()
	must(t, server.Kill())
	n.Want(typ, 2)
	for range 100 { // what is held works
		n.Release(slot)
		if got, ok := n.Take(typ); !ok || got != slot {
			t.Fatalf("a slot that is held was not handed out: %v", got)
		}
	}
	n.hasNone()
	must(t, server.Start())
	n.takes()
}

func TestQuotaIsFull(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.StartEtcd(t, "--quota-backend-bytes", "1000000"), unique(t)
	client := reader(t, server.Endpoints())
	slow := func(s *setting) { s.ttl = 2 * never }
	a, b := join(t, prefix, server.Endpoints(), 2, slow), join(t, prefix, server.Endpoints(), 2, slow)
	a.Want(typ, 1)
	slot := a.takes()
	for i := 0; ; i++ {
		_, err := client.Put(deadline(t), fmt.Sprint("/fill/", i), strings.Repeat("x", 100_000))
		if errors.Is(err, rpctypes.ErrNoSpace) {
			break
		}
		must(t, err)
	}
	b.Want(typ, 1)
	a.Release(slot)
	slot = a.takes() // what is held works
	b.hasNone()
	a.Set(map[string]limit.Limit{typ: {N: 2}, "other": {N: 1}})
	a.Want("other", 1) // what it can't have is not in the way of giving
	a.Want(typ, 0)
	a.Release(slot)
	within(t, "it is given back", func() bool { return len(usage(t, client, prefix).Holders) == 0 })

	_, err := client.Delete(deadline(t), "/fill/", clientv3.WithPrefix())
	must(t, err)
	_, err = client.Compact(deadline(t), revision(t, client), clientv3.WithCompactPhysical())
	must(t, err)
	_, err = client.Defragment(deadline(t), server.Endpoint())
	must(t, err)
	alarms, err := client.AlarmList(deadline(t))
	must(t, err)
	for _, alarm := range alarms.Alarms {
		_, err = client.AlarmDisarm(deadline(t), (*clientv3.AlarmMember)(alarm))
		must(t, err)
	}
	b.takes()
}

func TestRunEndsWithTheMembership(t *testing.T) {
	t.Parallel()
	n := join(t, unique(t), testenv.Etcd(t), 1, nil)
	n.leave()
	again, err := limit.New(limit.Config{Client: reader(t, testenv.Etcd(t)), Members: n.members})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := again.Run(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("without a membership it says %v", err)
	}
	if err := again.Run(ctx); err == nil {
		t.Error("it ran twice")
	}
}

func TestConfigThatCannotBe(t *testing.T) {
	t.Parallel()
	client := clientv3.NewCtxClient(t.Context())
	n := join(t, unique(t), testenv.Etcd(t), 1, nil)
	for wants, cfg := range map[string]limit.Config{
		"no etcd client":  {Members: n.members},
		"no membership":   {Client: client},
		"a negative time": {Client: client, Members: n.members, Fair: -1},
	} {
		if _, err := limit.New(cfg); err == nil || !strings.Contains(err.Error(), wants) {
			t.Errorf("got %v, want an error with %q", err, wants)
		}
	}
}
