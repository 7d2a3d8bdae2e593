package limit_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/coord/limit"
	"github.com/tasktier/tasktier/internal/testenv"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestNoMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	prefix := unique(t)
	a, b := join(t, prefix, testenv.Etcd(t), 3, nil), join(t, prefix, testenv.Etcd(t), 3, nil)
	a.Want(typ, 5)
	taken := []*lease.Slot{a.takes(), a.takes(), a.takes()}
	a.hasNone()
	b.Want(typ, 1)
	b.waits()
	b.hasNone()
	if got := a.stats(); got != (limit.Stats{N: 3, Held: 3, InUse: 3, Waiting: got.Waiting}) {
		t.Errorf("its statistics are %+v", got)
	}

	a.Release(taken[1]) // it goes when the fair time is over
	got := b.takes()
	if got.Number != taken[1].Number || got.Token <= taken[1].Token || got.Type != typ || !got.Lease.Trusted() {
		t.Errorf("after slot %+v the next one is %+v", taken[1], got)
	}
	a.hasNone()
	a.Release(taken[1]) // a second time is none
	b.hasNone()
}

func TestWaitersAreServedInTheirOrder(t *testing.T) {
	t.Parallel()
	prefix := unique(t)
	holder := join(t, prefix, testenv.Etcd(t), 1, nil)
	holder.Want(typ, 1)
	slot := holder.takes()
	turns, waiters := make(chan string), []*node{}
	for i := range 5 {
		w := join(t, prefix, testenv.Etcd(t), 1, func(s *setting) { s.Node = fmt.Sprint(i) })
		w.Want(typ, 1)
		w.waits()
		waiters = append(waiters, w)
	}
	line := usage(t, reader(t, testenv.Etcd(t)), prefix)
	if len(line.Holders) != 1 || line.Holders[0].Token != slot.Token || line.Holders[0].Session != slot.Lease.ID() || len(line.Waiting) != 5 {
		t.Fatalf("it is said that %+v", line)
	}
	for i, w := range line.Waiting {
		if w.Node != fmt.Sprint(i) {
			t.Errorf("number %d in line is %s", i, w.Node)
		}
	}

	for i, w := range waiters {
		go func() {
			slot := w.takes()
			turns <- fmt.Sprint(i)
			w.Want(typ, 0)
			w.Release(slot)
		}()
	}
	holder.Want(typ, 0)
	holder.Release(slot)
	for i := range waiters {
		if turn := <-turns; turn != fmt.Sprint(i) {
			t.Errorf("turn %d is that of %s", i, turn)
		}
	}
}

func TestOneNodeAloneWritesNothingMore(t *testing.T) {
	t.Parallel()
	server := testenv.StartEtcd(t)
	n, client := join(t, unique(t), server.Endpoints(), 2, func(s *setting) { s.ttl = never; s.Linger = never }), reader(t, server.Endpoints())
	n.Want(typ, 2)
	one, other := n.takes(), n.takes()
	n.Release(other)
	before := revision(t, client)
	for i := range 1000 {
		n.Release(one)
		n.Want(typ, i%4) // tasks come and go
		one = n.takes()
	}
	stays(t, 100*time.Millisecond, "nothing is written", func() bool { return revision(t, client) == before })
}

func TestSlotsNobodyWantsGoBack(t *testing.T) {
	t.Parallel()
	prefix, client := unique(t), reader(t, testenv.Etcd(t))
	n := join(t, prefix, testenv.Etcd(t), 3, nil)
	n.Want(typ, 3)
	slots := []*lease.Slot{n.takes(), n.takes(), n.takes()}
	n.Want(typ, 1)
	n.Release(slots[0])
	n.Release(slots[1])
	within(t, "one is left", func() bool { return len(usage(t, client, prefix).Holders) == 1 })
	n.Release(slots[2])
	if slot := n.takes(); slot != slots[2] {
		t.Errorf("it kept %+v, not the one in use, %+v", slot, slots[2])
	}
	n.Want(typ, 0)
	n.Release(slots[2])
	within(t, "none is left", func() bool { return len(usage(t, client, prefix).Holders) == 0 })
	if got := n.stats(); got != (limit.Stats{N: 3}) {
		t.Errorf("its statistics are %+v", got)
	}
}

func TestSlotIsYieldedAfterItsFairTime(t *testing.T) {
	t.Parallel()
	const fair = 400 * time.Millisecond
	prefix := unique(t)
	fairly := func(s *setting) { s.Fair = fair }
	a, b := join(t, prefix, testenv.Etcd(t), 1, fairly), join(t, prefix, testenv.Etcd(t), 1, fairly)
	a.Want(typ, 1)
	slot, since := a.takes(), time.Now()
	b.Want(typ, 1)
	b.waits()
	for a.stats().Held == 1 { // one task after the other
		a.Release(slot)
		if next, ok := a.Take(typ); ok {
			slot = next
		}
	}
	if had := time.Since(since); had < fair-20*time.Millisecond {
		t.Errorf("it was given away after %s, with a fair time of %s", had, fair)
	}
	b.takes()
	a.waits() // for its next turn
}

func TestUnusedSlotIsYieldedToo(t *testing.T) {
	t.Parallel()
	prefix := unique(t)
	a, b := join(t, prefix, testenv.Etcd(t), 1, nil), join(t, prefix, testenv.Etcd(t), 1, nil)
	a.Want(typ, 1) // and never takes it
	within(t, "it has one", func() bool { return a.stats().Held == 1 })
	b.Want(typ, 1)
	b.takes()
}

// Two nodes that want all there is share it, and then leave it at that.
func TestGreedyNodesShare(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.StartEtcd(t), unique(t)
	client := reader(t, server.Endpoints())
	a, b := join(t, prefix, server.Endpoints(), 4, nil), join(t, prefix, server.Endpoints(), 4, nil)
	a.Want(typ, 9)
	within(t, "one has all", func() bool { return a.stats().Held == 4 })
	b.Want(typ, 9)
	within(t, "both have half", func() bool {
		return a.stats() == limit.Stats{N: 4, Held: 2, Waiting: true} && b.stats() == limit.Stats{N: 4, Held: 2, Waiting: true}
	})
	within(t, "for ten fair times nothing is written", func() bool {
		before := revision(t, client)
		<-time.After(200 * time.Millisecond)
		return revision(t, client) == before
	})

	c := join(t, prefix, server.Endpoints(), 4, nil)
	c.Want(typ, 1) // one that has none comes before those who have some
	c.takes()
}

func TestLimitShrinksAndGrows(t *testing.T) {
	t.Parallel()
	prefix := unique(t)
	a, b := join(t, prefix, testenv.Etcd(t), 3, nil), join(t, prefix, testenv.Etcd(t), 3, nil)
	a.Want(typ, 3)
	slots := []*lease.Slot{a.takes(), a.takes(), a.takes()}
	slices.SortFunc(slots, func(a, b *lease.Slot) int { return a.Number - b.Number })
	to := func(n int) {
		a.Set(map[string]limit.Limit{typ: {N: n}})
		b.Set(map[string]limit.Limit{typ: {N: n}})
	}
	to(1)
	b.Want(typ, 1)
	b.waits()
	a.Want(typ, 0)
	a.Release(slots[0])
	// Two tasks are at work that the old limit allowed, and slot 0 is free: that is no reason to start a third.
	stays(t, 300*time.Millisecond, "nobody takes the free slot", func() bool { _, ok := b.Take(typ); return !ok })
	a.Release(slots[2])
	stays(t, 100*time.Millisecond, "nobody takes the free slot", func() bool { _, ok := b.Take(typ); return !ok })
	a.Release(slots[1])
	slot := b.takes()
	if slot.Number != 0 {
		t.Errorf("with a limit of one it took %+v", slot)
	}
	a.Want(typ, 2)
	a.waits()
	a.hasNone()
	to(3)
	a.takes()
	a.takes()
	a.hasNone()
}

func TestNodeDoesNotStartMoreThanAShrunkLimit(t *testing.T) {
	t.Parallel()
	n := join(t, unique(t), testenv.Etcd(t), 3, func(s *setting) { s.Fair = never })
	n.Want(typ, 3)
	slots := []*lease.Slot{n.takes(), n.takes(), n.takes()}
	slices.SortFunc(slots, func(a, b *lease.Slot) int { return a.Number - b.Number })
	n.Set(map[string]limit.Limit{typ: {N: 1}})
	within(t, "it has seen that", func() bool { return n.stats().N == 1 && n.Limiter.Stats()[typ].Held == 3 })
	n.Release(slots[2])
	within(t, "a slot beyond the limit goes back", func() bool { return n.stats().Held == 2 })
	n.Release(slots[0])
	stays(t, 200*time.Millisecond, "a task beyond the limit is at work, and another one is not started", func() bool { _, ok := n.Take(typ); return !ok })
	n.Release(slots[1])
	if slot := n.takes(); slot.Number != 0 {
		t.Errorf("it took %+v", slot)
	}
}

func TestLimitIsLifted(t *testing.T) {
	t.Parallel()
	prefix, client := unique(t), reader(t, testenv.Etcd(t))
	a, b := join(t, prefix, testenv.Etcd(t), 1, nil), join(t, prefix, testenv.Etcd(t), 1, nil)
	a.Want(typ, 1)
	slot := a.takes()
	b.Want(typ, 1)
	b.waits()
	b.Set(nil)
	within(t, "nobody waits", func() bool { return len(usage(t, client, prefix).Waiting) == 0 })
	a.Set(map[string]limit.Limit{typ: {N: 0}})
	a.hasNone()
	if got := usage(t, client, prefix).Holders; len(got) != 1 {
		t.Errorf("the slots in use are %+v", got)
	}
	a.Release(slot)
	within(t, "nobody has a slot", func() bool { return len(usage(t, client, prefix).Holders) == 0 })
	within(t, "nothing is left to say of it", func() bool { return len(a.Stats())+len(b.Stats()) == 0 })
}

// Who has not heard yet that the limit has changed takes nothing by the old one, and holds nobody up.
func TestStaleLimitTakesNothing(t *testing.T) {
	t.Parallel()
	prefix, client := unique(t), reader(t, testenv.Etcd(t))
	key := prefix + "/the-limit"
	put, err := client.Put(deadline(t), key, "2")
	must(t, err)
	lasts := func(revision int64) clientv3.Cmp {
		return clientv3.Compare(clientv3.ModRevision(key), "=", revision)
	}
	old := limit.Limit{N: 2, Lasts: lasts(put.Header.Revision), Conditional: true}
	a, b := join(t, prefix, testenv.Etcd(t), 1, nil), join(t, prefix, testenv.Etcd(t), 1, nil)
	a.Set(map[string]limit.Limit{typ: old})
	b.Set(map[string]limit.Limit{typ: old})
	a.Want(typ, 1)
	slot := a.takes()
	put, err = client.Put(deadline(t), key, "1")
	must(t, err)
	a.Set(map[string]limit.Limit{typ: {N: 1, Lasts: lasts(put.Header.Revision), Conditional: true}})

	b.Want(typ, 1)
	stays(t, 300*time.Millisecond, "it takes nothing by the old limit", func() bool { _, ok := b.Take(typ); return !ok })
	a.Want(typ, 0)
	a.Release(slot)
	within(t, "all is free", func() bool { return a.stats().Held == 0 })
	a.Want(typ, 1)
	a.Release(a.takes()) // the one with the old limit is not in its way
	b.Set(map[string]limit.Limit{typ: {N: 1, Lasts: lasts(put.Header.Revision), Conditional: true}})
	b.takes()
}

func TestStopGivesBackWhatIsIdle(t *testing.T) {
	t.Parallel()
	prefix, client := unique(t), reader(t, testenv.Etcd(t))
	a, b := join(t, prefix, testenv.Etcd(t), 2, func(s *setting) { s.Linger = never; s.Fair = never }), join(t, prefix, testenv.Etcd(t), 2, nil)
	a.Want(typ, 2)
	slot := a.takes()
	a.Release(a.takes())
	b.Want(typ, 1)
	b.waits()
	b.stop()
	a.stop()
	if got := usage(t, client, prefix); len(got.Waiting) != 0 || len(got.Holders) != 1 || got.Holders[0].Token != slot.Token || got.Holders[0].Number != slot.Number {
		t.Errorf("what is left is %+v, want %+v, which is in use", got, slot)
	}
	a.hasNone()
	a.Release(slot)
	a.leave()
	if got := usage(t, client, prefix); len(got.Holders) != 0 {
		t.Errorf("what is left after the session is %+v", got)
	}
}
