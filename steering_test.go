package tasktier

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/coord/control"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap/zaptest"
)

// A fleet is some nodes of one configuration, which note what runs where.
type fleet struct {
	t    *testing.T
	cfg  config.Config
	send *producer.Producer
	say  control.Operator

	mu     sync.Mutex
	nodes  map[string]*Node  // that run, by their name
	runs   map[string]string // the node, by the task's id
	inside int
	most   int // that ran at once
}

func newFleet(t *testing.T, cfg config.Config) *fleet {
	t.Helper()
	f := &fleet{t: t, cfg: cfg, nodes: make(map[string]*Node), runs: make(map[string]string)}
	client, err := EtcdClient(*cfg.Etcd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	f.say = control.Operator{Client: client, Prefix: cfg.Etcd.Prefix, Name: "test"}
	if f.send, err = producer.New(producer.Config{Brokers: cfg.Kafka.Brokers}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.send.Close(context.WithoutCancel(t.Context())) })
	return f
}

// start starts a node of a name; stop waits for its end.
func (f *fleet) start(name string) (stop func()) {
	f.t.Helper()
	cfg := f.cfg
	cfg.Node.Name, cfg.Node.HTTP = name, free(f.t)
	mux := consumer.NewMux()
	for _, typ := range []string{"a", "b"} {
		if err := mux.Handle(typ, func(_ context.Context, t *task.Task) error { f.run(name, t.ID); return nil }); err != nil {
			f.t.Fatal(err)
		}
	}
	n, err := New(cfg, mux, WithLogger(zaptest.NewLogger(f.t)))
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	f.until(name+" consumes", func() bool {
		status, _ := get(f.t, cfg.Node.HTTP, "/readyz")
		return status == http.StatusOK || f.isDrained(name)
	})
	f.set(name, n)
	stop = sync.OnceFunc(func() {
		f.set(name, nil)
		cancel()
		if err := <-ended; err != nil {
			f.t.Errorf("run %s: %v", name, err)
		}
	})
	f.t.Cleanup(stop)
	return stop
}

func (f *fleet) set(name string, n *Node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.nodes[name] = n; n == nil {
		delete(f.nodes, name)
	}
}

func (f *fleet) isDrained(name string) bool {
	s, err := control.Read(f.t.Context(), f.say.Client, f.say.Prefix)
	return err == nil && s.Nodes[name].Drained
}

// run is a task at work: long enough to be seen beside others.
func (f *fleet) run(node, id string) {
	f.mu.Lock()
	f.inside++
	f.most = max(f.most, f.inside)
	f.mu.Unlock()
	time.Sleep(time.Millisecond)
	f.mu.Lock()
	f.inside--
	f.runs[id] = node
	f.mu.Unlock()
}

// sent sends n tasks of a type, with ids that begin with a word.
func (f *fleet) sent(typ, word string, n int) {
	f.t.Helper()
	for i := range n {
		err := f.send.Send(f.t.Context(), task.New(typ, nil, task.ID(fmt.Sprintf("%s-%d", word, i))))
		for errors.Is(err, producer.ErrNoTopic) { // the first node is about to create it
			err = f.send.Send(f.t.Context(), task.New(typ, nil, task.ID(fmt.Sprintf("%s-%d", word, i))))
		}
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

// ran counts the runs whose ids begin with a word, by node.
func (f *fleet) ran(word string) (nodes map[string]int, all int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	nodes = make(map[string]int)
	for id, node := range f.runs {
		if strings.HasPrefix(id, word+"-") {
			nodes[node]++
			all++
		}
	}
	return nodes, all
}

func (f *fleet) await(word string, n int) map[string]int {
	f.t.Helper()
	f.until(fmt.Sprintf("%d of %s", n, word), func() bool { _, all := f.ran(word); return all == n })
	nodes, _ := f.ran(word)
	return nodes
}

func (f *fleet) until(what string, ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("never seen: %s; what ran: %v", what, maps.Clone(f.runs))
		}
	}
}

// says fails the test if an operator could not say something, or it was said already.
func (f *fleet) says(changed bool, err error) {
	f.t.Helper()
	if err != nil || !changed {
		f.t.Fatalf("say: %t, %v", changed, err)
	}
}

// heard waits until what was said has reached all nodes that run.
func (f *fleet) heard(said func(control.State) bool) {
	f.t.Helper()
	f.until("all nodes have heard", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, n := range f.nodes {
			n.mu.Lock()
			members := n.members
			n.mu.Unlock()
			if members == nil {
				return false
			}
			members.steering.mu.Lock()
			heard := said(members.steering.state)
			members.steering.mu.Unlock()
			if !heard {
				return false
			}
		}
		return true
	})
}

// idles waits until a node consumes nothing.
func (f *fleet) idles(name string) {
	f.t.Helper()
	f.mu.Lock()
	n := f.nodes[name]
	f.mu.Unlock()
	f.until(name+" idles", func() bool { c, _ := n.running(); return c == nil })
}

// TestOperatorsSteer: what operators say takes effect within a second on all nodes, and on those that start later.
func TestOperatorsSteer(t *testing.T) {
	t.Parallel()
	f := newFleet(t, cluster(t))
	ctx := t.Context()
	stop := f.start("one")
	f.start("two")

	f.says(f.say.PauseType(ctx, "a"))
	f.heard(func(s control.State) bool { return s.Types["a"].Paused })
	f.sent("a", "paused", 20)
	f.sent("b", "beside", 20)
	f.await("beside", 20)
	stop()
	stop = f.start("one") // it hears what was said before
	f.sent("b", "later", 20)
	f.await("later", 20)
	if _, n := f.ran("paused"); n != 0 {
		t.Fatalf("%d of a paused type ran", n)
	}
	f.says(f.say.ResumeType(ctx, "a"))
	f.await("paused", 20)

	f.says(f.say.PauseQueue(ctx, "tasks"))
	f.heard(func(s control.State) bool { return s.Queues["tasks"].Paused })
	f.sent("b", "queued", 20)
	<-time.After(500 * time.Millisecond) // in which they would have run
	if _, n := f.ran("queued"); n != 0 {
		t.Fatalf("%d of a paused queue ran", n)
	}
	f.says(f.say.ResumeQueue(ctx, "tasks"))
	f.await("queued", 20)

	f.says(f.say.LimitType(ctx, "a", 1))
	f.heard(func(s control.State) bool { return s.Types["a"].Limit != nil })
	f.mu.Lock()
	f.most = 0
	f.mu.Unlock()
	f.sent("a", "limited", 50)
	f.await("limited", 50)
	if f.most != 1 {
		t.Errorf("%d ran at once, and the limit is 1", f.most)
	}
	f.says(f.say.DefaultLimit(ctx, "a"))

	f.says(f.say.DrainNode(ctx, "one"))
	f.heard(func(s control.State) bool { return s.Nodes["one"].Drained })
	f.idles("one")
	f.sent("b", "drained", 50)
	if nodes := f.await("drained", 50); nodes["one"] != 0 {
		t.Errorf("a drained node ran %d of 50", nodes["one"])
	}
	stop()
	f.start("one") // a restart changes nothing
	f.sent("b", "restarted", 50)
	if nodes := f.await("restarted", 50); nodes["one"] != 0 {
		t.Errorf("a drained node ran %d of 50", nodes["one"])
	}
	f.says(f.say.ResumeNode(ctx, "one"))
	for round := 0; ; round++ {
		word := fmt.Sprint("back", round)
		f.sent("b", word, 50)
		if f.await(word, 50)["one"] > 0 {
			break
		}
	}
}

// TestLimitsNeedEtcd: each node would keep a limit for itself.
func TestLimitsNeedEtcd(t *testing.T) {
	cfg := config.Default()
	cfg.Redis, cfg.Etcd = nil, nil
	cfg.Types = map[string]config.Type{"a": {Limit: 1}}
	var wrong *config.Error
	if _, err := New(cfg, nil); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "types.a.limit") {
		t.Errorf("new: %v, want a configuration error of types.a.limit", err)
	}
}

// When Kafka has forgotten the offsets of a group without members, nodes resume behind the last task that was finished
// before they stopped. Pitfall 27 of docs/pitfalls.md.
func TestNodesResumeAfterTheGroupWasForgotten(t *testing.T) {
	t.Parallel()
	cfg := cluster(t)
	cfg.Redis = nil // claims would hide it
	f := newFleet(t, cfg)
	stop := f.start("one")
	f.sent("a", "before", 100)
	f.await("before", 100)
	stop()
	client, err := kgo.NewClient(kgo.SeedBrokers(cfg.Kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).DeleteGroup(t.Context(), names.Group(cfg.Kafka.Prefix, "tasks")); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	clear(f.runs)
	f.mu.Unlock()
	f.start("one")
	f.sent("a", "after", 10)
	f.await("after", 10)
	if _, n := f.ran("before"); n > 0 {
		t.Errorf("%d of 100 tasks ran again", n)
	}
}

// TestDrainLeavesAHandlerBehind: a handler doesn't return when its node is drained. Its task is another session's then,
// even if that is the same process's: it never runs twice at once in what is taken for one run.
func TestDrainLeavesAHandlerBehind(t *testing.T) {
	t.Parallel()
	cfg := cluster(t)
	cfg.Node.Drain, cfg.Node.Name = 100*time.Millisecond, "one"
	f := newFleet(t, cfg)
	leases, release := make(chan int64, 10), make(chan struct{})
	mux := consumer.NewMux()
	if err := mux.Handle("deaf", func(ctx context.Context, _ *task.Task) error {
		leases <- task.Fence(ctx)
		<-release
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	settled := make(chan consumer.Settled, 10)
	n, err := New(cfg, mux, WithLogger(zaptest.NewLogger(t)), WithSettled(func(s consumer.Settled) { settled <- s }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	f.sent("deaf", "deaf", 1)
	first := <-leases
	f.says(f.say.DrainNode(ctx, "one"))
	before, err := coord.Members(ctx, f.say.Client, cfg.Etcd.Prefix)
	if err != nil || len(before) != 1 {
		t.Fatalf("%d members: %v", len(before), err)
	}
	f.until("another session", func() bool {
		now, err := coord.Members(ctx, f.say.Client, cfg.Etcd.Prefix)
		return err == nil && len(now) == 1 && now[0].Session != before[0].Session
	})
	f.says(f.say.ResumeNode(ctx, "one"))
	if second := <-leases; second <= first {
		t.Errorf("the run after the drain has fence %d, the one before %d", second, first)
	}
	close(release)
	if s := <-settled; s.State != task.Succeeded {
		t.Errorf("it ended as %s: %v", s.State, s.Err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}
