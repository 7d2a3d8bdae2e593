package coord_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/internal/testenv"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// It is not parallel, as it measures.
func TestKilledProcessVanishesWithinTTL(t *testing.T) {
	if testing.Short() {
		t.Skip("measures alone for a few seconds: ./check long runs it")
	}
	prefix := unique(t)
	n := join(t, prefix, etcd(t), nil)
	n.registered()
	p := spawn(t, etcd(t)[0], prefix)
	id := p.says("session")
	must(t, p.cmd.Process.Kill())
	killed := time.Now()
	n.hears(id, ttl+time.Second)
	t.Logf("vanished after %s", time.Since(killed))
	if alive, err := n.Alive(limit(t), id); alive || err != nil {
		t.Errorf("alive: %v, %v", alive, err)
	}
}

func TestPausedProcessVanishesAndDoesNotGoOnTrusting(t *testing.T) {
	t.Parallel()
	prefix := unique(t)
	n := join(t, prefix, etcd(t), nil)
	n.registered()
	p := spawn(t, etcd(t)[0], prefix)
	id := p.says("session")
	p.ask()
	if p.says("trusted") != "true" {
		t.Error("it does not trust its session")
	}
	must(t, p.cmd.Process.Signal(syscall.SIGSTOP))
	n.hears(id, ttl+slack)
	p.ask() // what it finds when it goes on
	must(t, p.cmd.Process.Signal(syscall.SIGCONT))
	if p.says("trusted") != "false" {
		t.Error("it goes on trusting a session that is gone")
	}
	if next := p.says("session"); next == id {
		t.Error("the id of a lost session is used again")
	}
}

func TestEtcdAwayAndBack(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes four leases of four seconds: ./check long runs it")
	}
	server, prefix := testenv.StartEtcd(t), unique(t)
	last := func(cfg *coord.Config) { cfg.TTL = lasting }
	n := join(t, prefix, server.Endpoints(), last)
	watcher := join(t, prefix, server.Endpoints(), last)
	first := n.registered()
	watcher.registered()
	must(t, server.Pause())
	ends(t, first, lastingTrust+slack/2)
	lost := time.Now()
	if n.Lease() != nil {
		t.Error("there is a session at once, though etcd is away")
	}
	if _, err := n.Alive(short(t), first.ID()); err == nil {
		t.Error("it knows who is alive, though etcd is away")
	}

	l := n.session()
	if took := time.Since(lost); took < lasting-100*time.Millisecond || took > lasting+slack/2 {
		t.Errorf("it went on without etcd after %s, want %s", took, lasting)
	}
	if l.Trusted() || !open(l) || l.ID() == first.ID() || n.Lease() != l {
		t.Error("the session it goes on with is not a new one without trust")
	}
	stays(t, lasting, "the session goes on", func() bool { return open(l) && n.Lease() == l && !l.Trusted() })

	must(t, server.Resume())
	// Who asks for it from now on hears that it is alive, or nothing.
	within(t, lasting+slack, "it is registered", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		alive, err := watcher.Alive(ctx, l.ID())
		if !alive && err == nil {
			t.Fatal("it is taken for dead, though it lives")
		}
		return alive
	})
	within(t, slack, "it is trusted", l.Trusted)
	if n.Lease() != l || !open(l) {
		t.Error("the session was changed to be registered")
	}
	stays(t, lasting, "it is kept alive", l.Trusted)
}

func TestEtcdRestartCostsNoSession(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	n := join(t, unique(t), server.Endpoints(), func(cfg *coord.Config) { cfg.TTL = 6 * time.Second })
	l := n.registered()
	must(t, server.Kill())
	must(t, server.Start())
	stays(t, 5*time.Second, "it is trusted", l.Trusted) // longer than it was at first
}

func TestNodeThatIsCutOff(t *testing.T) {
	t.Parallel()
	prefix := unique(t)
	network := newLink(t, etcd(t)[0])
	n := join(t, prefix, []string{network.addr()}, nil)
	other := join(t, prefix, etcd(t), nil)
	l := n.registered()
	other.registered()
	network.cut()
	other.hears(l.ID(), ttl+slack)
	if l.Trusted() {
		t.Error("others see it gone, and it trusts its session")
	}
	ends(t, l, slack)

	unregistered := n.session()
	if unregistered.Trusted() {
		t.Error("it trusts a session that can't be registered")
	}
	network.heal()
	within(t, ttl+slack, "it is trusted", unregistered.Trusted)
	if alive, err := other.Alive(limit(t), unregistered.ID()); !alive || err != nil {
		t.Errorf("alive: %v, %v", alive, err)
	}
}

func TestFirstSessionIsARegisteredOne(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	must(t, server.Kill())
	n := join(t, unique(t), server.Endpoints(), nil)
	ctx, cancel := context.WithTimeout(t.Context(), ttl+time.Second)
	defer cancel()
	_, err := n.Wait(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "register session in etcd at "+server.Endpoint()) {
		t.Errorf("waiting says %v", err)
	}
	if n.Lease() != nil {
		t.Error("it goes on without ever having been registered")
	}
	must(t, server.Start())
	if l := n.session(); !l.Trusted() {
		t.Error("its first session is not registered")
	}
}

func TestStopWhileEtcdIsAway(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"registered", "opening", "unregistered"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			server := testenv.StartEtcd(t)
			n := join(t, unique(t), server.Endpoints(), nil)
			l := n.registered()
			must(t, server.Pause())
			if state != "registered" {
				ends(t, l, trust+slack)
			}
			if state == "unregistered" {
				l = n.session()
			}
			start := time.Now()
			n.stop()
			if took := time.Since(start); took > 2*time.Second+slack/2 {
				t.Errorf("it took %s", took)
			}
			if open(l) {
				t.Error("Run has returned and the session is open")
			}
		})
	}
}

func TestFullQuota(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t, "--quota-backend-bytes", "2000000")
	n := join(t, unique(t), server.Endpoints(), func(cfg *coord.Config) { cfg.TTL = lasting })
	l, client := n.registered(), connect(t, server.Endpoint())
	var err error
	for filling := strings.Repeat("x", 500_000); err == nil; {
		_, err = client.Put(limit(t), "/filling", filling)
	}
	if !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Fatal(err)
	}
	stays(t, time.Second, "what is registered stays", l.Trusted) // for longer: TestEtcdRestartCostsNoSession

	_, err = client.Revoke(limit(t), leaseOf(n, l.ID()))
	must(t, err)
	ends(t, l, slack)
	unregistered := n.session()
	if unregistered.Trusted() {
		t.Error("it is trusted without a key")
	}

	reply, err := client.Delete(limit(t), "/filling")
	must(t, err)
	_, err = client.Compact(limit(t), reply.Header.Revision, clientv3.WithCompactPhysical())
	must(t, err)
	_, err = client.Defragment(limit(t), server.Endpoint())
	must(t, err)
	_, err = client.AlarmDisarm(limit(t), &clientv3.AlarmMember{})
	must(t, err)
	within(t, lasting+slack, "it is trusted", unregistered.Trusted)
}

func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
