package coord_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/internal/testenv"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A span is a duty that was done.
type span struct {
	by    string // the member
	term  coord.Term
	begun time.Time
	ended time.Time // when its context had ended; zero while it has not
	why   error
}

// A chronicle is what the leaders of a test did.
type chronicle struct {
	mu    sync.Mutex
	spans []*span
}

// duty is one that goes on until it is told to end.
func (c *chronicle) duty(by string) coord.Duty {
	return func(ctx context.Context, term coord.Term) error {
		s := &span{by: by, term: term, begun: time.Now()}
		c.mu.Lock()
		c.spans = append(c.spans, s)
		c.mu.Unlock()
		<-ctx.Done()
		c.mu.Lock()
		s.ended, s.why = time.Now(), context.Cause(ctx)
		c.mu.Unlock()
		return nil
	}
}

func (c *chronicle) all() []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []span
	for _, s := range c.spans {
		all = append(all, *s)
	}
	return all
}

// leads waits until one of the members does the duty, and no span before it is still open.
func (c *chronicle) leads(t *testing.T, d time.Duration, who ...string) span {
	t.Helper()
	var last span
	within(t, d, "one of "+strings.Join(who, ", ")+" leads", func() bool {
		all := c.all()
		if len(all) == 0 {
			return false
		}
		last = all[len(all)-1]
		return last.ended.IsZero() && slices.Contains(who, last.by)
	})
	return last
}

// check fails the test if two led at once or a term's number was not higher than the one before.
func (c *chronicle) check(t *testing.T) {
	t.Helper()
	all := c.all()
	for i := 1; i < len(all); i++ {
		before, s := all[i-1], all[i]
		if before.ended.IsZero() || before.ended.After(s.begun) {
			t.Errorf("%s began at %s, when %s had not ended (until %s)", s.by, s.begun, before.by, before.ended)
		}
		if s.term.Number() <= before.term.Number() {
			t.Errorf("term %d came after term %d", s.term.Number(), before.term.Number())
		}
	}
}

// lead makes a node compete until the test ends, or the function that it returns is called.
func (n *node) lead(name string, duty coord.Duty) (stop func()) {
	n.t.Helper()
	ctx, cancel := context.WithCancel(n.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Lead(ctx, name, duty) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			n.t.Errorf("lead: %v", err)
		}
	})
	n.t.Cleanup(stop)
	return stop
}

func named(name string, ttl time.Duration) func(*coord.Config) {
	return func(cfg *coord.Config) { cfg.Entry.Name, cfg.TTL = name, ttl }
}

func TestOneLeadsAndStepsDownAtOnce(t *testing.T) {
	t.Parallel()
	prefix, c := unique(t), &chronicle{}
	stops := map[string]func(){}
	var nodes []*node
	for _, name := range []string{"a", "b", "c"} {
		n := join(t, prefix, etcd(t), named(name, time.Minute))
		stops[name] = n.lead("schedules", c.duty(name))
		nodes = append(nodes, n)
	}
	names := []string{"a", "b", "c"}
	first := c.leads(t, slack, names...)

	leader, ok, err := coord.ReadLeader(limit(t), nodes[0].etcd, prefix+"/", "schedules")
	must(t, err)
	who := nodes[slices.Index(names, first.by)]
	if !ok || leader.Node != first.by || leader.Session != who.Lease().ID() || leader.Term != first.term.Number() {
		t.Errorf("the leader is %+v, %v, want %+v", leader, ok, first)
	}
	if _, ok, err := coord.ReadLeader(limit(t), nodes[0].etcd, prefix, "trim"); ok || err != nil {
		t.Errorf("there is a leader in what nobody does: %v", err)
	}
	other := &chronicle{} // other duties go on beside it
	nodes[0].lead("trim", other.duty("a"))
	other.leads(t, slack, "a")

	for range 2 { // nobody waits a minute
		stops[first.by]()
		names = slices.DeleteFunc(names, func(n string) bool { return n == first.by })
		first = c.leads(t, slack, names...)
	}
	c.check(t)
}

func TestLeaderThatIsCutOffIsSucceeded(t *testing.T) {
	t.Parallel()
	prefix, c := unique(t), &chronicle{}
	network := newLink(t, etcd(t)[0])
	a := join(t, prefix, []string{network.addr()}, named("a", lasting))
	a.lead("duty", c.duty("a"))
	first := c.leads(t, slack, "a")
	b := join(t, prefix, etcd(t), named("b", lasting))
	b.lead("duty", c.duty("b"))
	b.registered()
	network.cut() // as a kill would: nothing is revoked
	cut := time.Now()
	second := c.leads(t, lasting+slack, "b")
	t.Logf("succeeded after %s", second.begun.Sub(cut))
	if took := second.begun.Sub(cut); took > lasting+2*time.Second {
		t.Errorf("it took %s", took)
	}
	c.check(t)

	// What the first one may still want to write does not get through, even on a connection of today.
	write := func(term coord.Term) bool {
		reply, err := b.etcd.Txn(limit(t)).If(term.Lasts()).Then(clientv3.OpPut(prefix+"/x", "")).Commit()
		must(t, err)
		return reply.Succeeded
	}
	if write(first.term) || !write(second.term) {
		t.Error("the term that is over can write, or the one that lasts can't")
	}
	network.heal()
	a.registered()
	stays(t, time.Second, "b leads", func() bool { s := c.all(); return s[len(s)-1].by == "b" })
	c.check(t)
}

func TestLeaderWithoutProgressStepsDownFirst(t *testing.T) {
	t.Parallel()
	prefix, c := unique(t), &chronicle{}
	var stuck atomic.Bool
	a := join(t, prefix, etcd(t), func(cfg *coord.Config) {
		cfg.TTL = lasting
		cfg.Healthy = func() error {
			if stuck.Load() {
				return errors.New("it is stuck")
			}
			return nil
		}
	})
	a.lead("duty", c.duty("a"))
	c.leads(t, slack, "a")
	join(t, prefix, etcd(t), named("b", lasting)).lead("duty", c.duty("b"))
	stuck.Store(true)
	c.leads(t, 2*lasting+slack, "b")
	c.check(t)
}

func TestLeadersKeyDeletedByHand(t *testing.T) {
	t.Parallel()
	prefix, c := unique(t), &chronicle{}
	a := join(t, prefix, etcd(t), named("a", time.Minute))
	a.lead("duty", c.duty("a"))
	c.leads(t, slack, "a")
	_, err := connect(t, etcd(t)...).Delete(limit(t), prefix+"/leaders/duty")
	must(t, err)
	within(t, slack, "a second term", func() bool { return len(c.all()) == 2 })
	c.leads(t, slack, "a")
	if first := c.all()[0]; !errors.Is(first.why, coord.ErrTermOver) {
		t.Errorf("the first term ended because %v", first.why)
	}
	c.check(t)
}

func TestLeaderThatCannotLetsAnotherTry(t *testing.T) {
	t.Parallel()
	prefix, c := unique(t), &chronicle{}
	var tries atomic.Int64
	a := join(t, prefix, etcd(t), named("a", time.Minute))
	stop := a.lead("duty", func(context.Context, coord.Term) error { tries.Add(1); return errors.New("it can't reach anything") })
	within(t, 2*slack, "it tries again", func() bool { return tries.Load() >= 3 })
	b := join(t, prefix, etcd(t), named("b", time.Minute))
	b.lead("duty", c.duty("b"))
	c.leads(t, slack, "b")
	stop()
	stays(t, 100*time.Millisecond, "the one that could not has deleted what is b's", func() bool { return c.all()[0].ended.IsZero() })
	if n := tries.Load(); n > 10 {
		t.Errorf("it tried %d times in a few seconds", n)
	}
}

func TestNobodyLeadsWithoutEtcd(t *testing.T) {
	t.Parallel()
	server, prefix, c := testenv.StartEtcd(t), unique(t), &chronicle{}
	n := join(t, prefix, server.Endpoints(), named("a", lasting))
	n.lead("duty", c.duty("a"))
	c.leads(t, slack, "a")
	must(t, server.Pause())
	within(t, lasting+slack, "it leads no more", func() bool { return !c.all()[0].ended.IsZero() })
	unregistered := n.session()
	stays(t, time.Second, "nobody leads", func() bool { return len(c.all()) == 1 && !unregistered.Trusted() })
	must(t, server.Resume())
	c.leads(t, 2*lasting+slack, "a")
	c.check(t)
}

// A session takes part in an election once: a second candidate of the same session would take the leader's key for its
// own. Pitfall 35 of docs/pitfalls.md.
func TestSecondCandidateOfOneSessionIsRefused(t *testing.T) {
	t.Parallel()
	c := &chronicle{}
	n := join(t, unique(t), etcd(t), named("a", time.Minute))
	stop := n.lead("duty", c.duty("a"))
	c.leads(t, slack, "a")
	if err := n.Lead(limit(t), "duty", c.duty("again")); !errors.Is(err, coord.ErrLeading) {
		t.Errorf("a second one says %v", err)
	}
	if err := n.Lead(t.Context(), "a/b", c.duty("again")); err == nil {
		t.Error("a name that can't be is taken")
	}
	stop()
	stop = n.lead("duty", c.duty("a"))
	within(t, slack, "another term", func() bool { return len(c.all()) == 2 })
	stop()
	n.stop()
	if err := n.Lead(t.Context(), "other", c.duty("a")); !errors.Is(err, coord.ErrOver) {
		t.Errorf("after Run it says %v", err)
	}
	c.check(t)
}

// A leader that steps down does not delete the key of its successor. Pitfall 36 of docs/pitfalls.md.
func TestLeaderDeletesOnlyItsOwnKey(t *testing.T) {
	t.Parallel()
	prefix, c := unique(t), &chronicle{}
	n := join(t, prefix, etcd(t), named("a", time.Minute))
	began := make(chan struct{})
	returns := make(chan struct{})
	stop := n.lead("duty", func(ctx context.Context, _ coord.Term) error {
		close(began)
		<-returns // whatever its context says
		return nil
	})
	<-began
	direct := connect(t, etcd(t)...)
	key := prefix + "/leaders/duty"
	_, err := direct.Delete(limit(t), key)
	must(t, err)
	_, err = direct.Put(limit(t), key, "another's")
	must(t, err)
	close(returns)
	stop()
	reply, err := direct.Get(limit(t), key)
	must(t, err)
	if len(reply.Kvs) != 1 || string(reply.Kvs[0].Value) != "another's" {
		t.Errorf("the key is %v", reply.Kvs)
	}
	if len(c.all()) > 0 {
		t.Error("it led")
	}
}

// A candidate notices that the leader has stepped down even if the event was compacted before the watch delivered it.
// Pitfall 38 of docs/pitfalls.md.
func TestVacancyIsNoticedAcrossCompaction(t *testing.T) {
	t.Parallel()
	server, prefix, c := testenv.StartEtcd(t), unique(t), &chronicle{}
	network := newLink(t, server.Endpoint())
	a := join(t, prefix, server.Endpoints(), named("a", time.Minute))
	stop := a.lead("duty", c.duty("a"))
	c.leads(t, slack, "a")
	b := join(t, prefix, []string{network.addr()}, named("b", time.Minute))
	b.lead("duty", c.duty("b"))
	b.registered()
	stays(t, 500*time.Millisecond, "b waits", func() bool { return len(c.all()) == 1 })
	network.cut()
	stop()
	direct := connect(t, server.Endpoint())
	put, err := direct.Put(limit(t), "/more", "")
	must(t, err)
	_, err = direct.Compact(limit(t), put.Header.Revision, clientv3.WithCompactPhysical())
	must(t, err)
	network.heal()
	c.leads(t, 2*slack, "b")
	c.check(t)
}

// Whatever happens to the members, no two lead at once, and the numbers of their terms grow. (Unless somebody deletes a
// leader's key while it is cut off.)
func TestLeadersNeverOverlap(t *testing.T) {
	t.Parallel()
	prefix, c := unique(t), &chronicle{}
	names := []string{"a", "b", "c"}
	var links []*link
	stops := make([]func(), len(names))
	var nodes []*node
	for i, name := range names {
		links = append(links, newLink(t, etcd(t)[0]))
		nodes = append(nodes, join(t, prefix, []string{links[i].addr()}, named(name, ttl)))
		stops[i] = nodes[i].lead("duty", c.duty(name))
	}
	c.leads(t, slack, names...)
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	for range rounds {
		i := rand.N(len(names))
		if rand.N(3) == 0 {
			stops[i]()
			stops[i] = nodes[i].lead("duty", c.duty(names[i]))
		} else {
			links[i].cut()
			time.AfterFunc(rand.N(3*ttl/2), links[i].heal)
		}
		wait := time.After(rand.N(ttl))
		<-wait
	}
	for _, l := range links {
		l.heal()
	}
	c.leads(t, 2*ttl+2*slack, names...)
	c.check(t)
	t.Logf("%d terms", len(c.all()))
}
