package coord_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/internal/testenv"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func etcd(t *testing.T) []string { return testenv.Etcd(t) }

func unique(t *testing.T) string { return "/" + testenv.Unique(t) }

func TestRegistersAndIsListed(t *testing.T) {
	t.Parallel()
	prefix := unique(t)
	entry := coord.Entry{
		Name: "b", Host: "h", PID: 7, Version: "v1.2.3", ClaimFormat: 1, Queues: []string{"tasks", "mail"},
		Types: []string{"email.send"}, Concurrency: 100, Started: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), // a clock that is off
	}
	b := join(t, prefix, etcd(t), func(cfg *coord.Config) { cfg.Entry = entry })
	first := b.registered()
	second := join(t, prefix+"/", etcd(t), func(cfg *coord.Config) { cfg.Entry.Name = "b" }).registered()
	a := join(t, prefix, etcd(t), func(cfg *coord.Config) { cfg.Entry.Name = "a" }).registered()
	join(t, prefix+"2", etcd(t), nil).registered() // another installation

	members, err := coord.Members(limit(t), b.etcd, prefix)
	must(t, err)
	var ids []string
	for _, m := range members {
		ids = append(ids, m.Session)
	}
	if want := []string{a.ID(), first.ID(), second.ID()}; !reflect.DeepEqual(ids, want) {
		t.Fatalf("listed %v, want %v", ids, want)
	}
	if !reflect.DeepEqual(members[1].Entry, entry) {
		t.Errorf("the entry is %+v, want %+v", members[1].Entry, entry)
	}
	if b.Lease() != first {
		t.Error("Lease and Wait differ")
	}
}

func TestEntryOfAnotherFormIsListedAllTheSame(t *testing.T) {
	t.Parallel()
	prefix, client := unique(t), connect(t, etcd(t)...)
	_, err := client.Put(limit(t), prefix+"/nodes/sfuture", `{"name": ["x"]}`)
	must(t, err)
	members, err := coord.Members(limit(t), client, prefix)
	must(t, err)
	if len(members) != 1 || members[0].Session != "sfuture" || !reflect.DeepEqual(members[0].Entry, coord.Entry{}) {
		t.Errorf("listed %+v", members)
	}
}

func TestStopVanishesAtOnce(t *testing.T) {
	t.Parallel()
	prefix := unique(t)
	other := join(t, prefix, etcd(t), func(cfg *coord.Config) { cfg.TTL = 10 * time.Second })
	other.registered()
	n := join(t, prefix, etcd(t), func(cfg *coord.Config) { cfg.TTL = time.Minute })
	l := n.registered()
	n.stop()
	if n.read(other.etcd, l.ID()) != nil {
		t.Error("Run has returned and the key is there")
	}
	if open(l) || l.Trusted() || n.Lease() != nil {
		t.Error("Run has returned and there is a session")
	}
	if _, err := n.Wait(limit(t)); !errors.Is(err, coord.ErrOver) {
		t.Errorf("waiting for what won't come says %v", err)
	}
	other.hears(l.ID(), slack)
	if alive, err := other.Alive(limit(t), l.ID()); alive || err != nil {
		t.Errorf("alive: %v, %v", alive, err)
	}
	if err := n.Run(t.Context()); err == nil {
		t.Error("it can be run twice")
	}
}

func TestLeaseRevokedFromOutsideEndsTheSession(t *testing.T) {
	t.Parallel()
	n := join(t, unique(t), etcd(t), nil)
	l := n.registered()
	_, err := n.etcd.Revoke(limit(t), leaseOf(n, l.ID()))
	must(t, err)
	ends(t, l, slack)
	if next := n.registered(); next.ID() == l.ID() {
		t.Error("the id of a lost session is used again")
	}
}

func TestKeyDeletedFromOutsideEndsTheSession(t *testing.T) {
	t.Parallel()
	n := join(t, unique(t), etcd(t), func(cfg *coord.Config) { cfg.TTL = 30 * time.Second })
	l := n.registered()
	_, err := n.etcd.Delete(limit(t), n.key(l.ID()))
	must(t, err)
	ends(t, l, slack)
	n.registered()
}

func TestWedgedProcessLosesItsSessionUntilItMoves(t *testing.T) {
	t.Parallel()
	var stuck atomic.Bool
	n := join(t, unique(t), etcd(t), func(cfg *coord.Config) {
		cfg.Healthy = func() error {
			if stuck.Load() {
				return errors.New("it is stuck")
			}
			return nil
		}
	})
	l := n.registered()
	stuck.Store(true)
	ends(t, l, ttl+slack)

	ctx, cancel := context.WithTimeout(t.Context(), ttl)
	defer cancel()
	if _, err := n.Wait(ctx); err == nil || !strings.Contains(err.Error(), "it is stuck") {
		t.Errorf("while it is stuck, waiting says %v", err)
	}
	stuck.Store(false)
	n.registered()
}

func TestAlive(t *testing.T) {
	t.Parallel()
	prefix, begun := unique(t), time.Now()
	n := join(t, prefix, etcd(t), nil)
	n.registered()
	other := join(t, prefix, etcd(t), nil).registered()

	const lost, yetToCome = "s234567234567", "u234567234567"
	if alive, err := n.Alive(limit(t), other.ID()); !alive || err != nil {
		t.Errorf("a registered session: %v, %v", alive, err)
	}
	if alive, err := n.Alive(limit(t), lost); alive || err != nil {
		t.Errorf("a session that must have been registered: %v, %v", alive, err)
	}
	for _, id := range []string{"", "a b", "../x"} {
		if _, err := n.Alive(limit(t), id); err == nil {
			t.Errorf("%q: no error", id)
		}
	}
	within(t, ttl+slack, "the absence of "+yetToCome+" is believed", func() bool {
		alive, err := n.Alive(limit(t), yetToCome)
		return !alive && err == nil
	})
	if took := time.Since(begun); took < ttl {
		t.Errorf("a session that may be yet to come is called gone after %s", took)
	}
}

// What is kept under its grant goes with the session.
func TestRegisteredSession(t *testing.T) {
	t.Parallel()
	n := join(t, unique(t), etcd(t), nil)
	r, err := n.Registered(limit(t))
	must(t, err)
	other := connect(t, etcd(t)...)
	if got := leaseOf(n, r.Lease.ID()); r.Lease != n.registered() || got != r.Grant || !r.Lease.Trusted() {
		t.Errorf("it is %s under %x, in etcd it has %x", r.Lease.ID(), r.Grant, got)
	}
	mine := n.prefix + "/mine"
	_, err = n.etcd.Put(limit(t), mine, "", clientv3.WithLease(r.Grant))
	must(t, err)
	n.stop()
	if reply, err := other.Get(limit(t), mine); err != nil || reply.Count != 0 {
		t.Errorf("after its end there are %d keys of it (%v)", reply.Count, err)
	}
	if _, err = n.Registered(limit(t)); !errors.Is(err, coord.ErrOver) {
		t.Errorf("after its end it says %v", err)
	}

	away := join(t, unique(t), []string{"127.0.0.1:1"}, nil) // nobody is there
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err = away.Registered(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("without etcd it says %v", err)
	}
}
