package consumer_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/tasktier/tasktier/internal/testenv/consumertest"
	"github.com/tasktier/tasktier/internal/testenv/inmemory"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/tasktier/tasktier/retry"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests. In a bubble its clock is the bubble's.
const patience = inmemory.Timeout

// A stage is a Kafka cluster with queues, and what happened to their tasks. It stands in a bubble of testing/synctest,
// on a network in memory: its clock stands still while anything moves, so a test may wait for ten minutes or look at
// what has come to rest, and takes no time for it.
type stage struct {
	session time.Duration // of consumers; 0: their default

	t       *testing.T
	dialer  bubble.Dialer
	broker  *inmemory.Kafka
	cluster *kfake.Cluster // the broker's
	client  *kgo.Client

	mu      sync.Mutex
	settled []consumer.Settled
	changed chan struct{}
}

// play runs a test on a stage with the queue "tasks" of so many partitions, and others of one.
func play(t *testing.T, partitions int32, test func(t *testing.T, s *stage), others ...string) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		net := new(bubble.Network)
		s := newStage(t, net.DialContext, partitions, others, kfake.Ports(9092), kfake.ListenFn(net.Listen))
		s.session = 45 * time.Second
		s.cluster.ControlKey(int16(kmsg.Fetch), holdFetch)
		test(t, s)
	})
}

// holdFetch has the broker hold an empty fetch for 5 s, not for the half second that a consumer asks for, which is most of
// what there is to do in a bubble's hours.
func holdFetch(r kmsg.Request) (kmsg.Response, error, bool) {
	f := r.(*kmsg.FetchRequest) //nolint:forcetypeassert // by the key
	f.MaxWaitMillis = max(f.MaxWaitMillis, 5000)
	return nil, nil, false
}

// playReal is play on the loopback network with the clock of the machine, for tests in which members of a group wait for
// each other: a commit then waits for the join on a lock of kgo's, for which a bubble's clock would stand still.
func playReal(t *testing.T, partitions int32, test func(t *testing.T, s *stage)) {
	t.Helper()
	test(t, newStage(t, new(net.Dialer).DialContext, partitions, nil))
}

func newStage(t *testing.T, dial bubble.Dialer, partitions int32, others []string, opts ...kfake.Opt) *stage {
	t.Helper()
	opts = append(opts, kfake.NumBrokers(1),
		kfake.SeedTopics(partitions, names.Pending("tasks"), names.Dead("tasks")),
		kfake.SeedTopics(tier.Minute.Partitions, names.RetryMinute("tasktier")), kfake.SeedTopics(tier.Hour.Partitions, names.RetryHour("tasktier")))
	for _, q := range others {
		opts = append(opts, kfake.SeedTopics(1, names.Pending(q), names.Dead(q)))
	}
	broker := inmemory.NewKafka(t, dial, opts...)
	return &stage{
		t: t, dialer: dial, broker: broker, cluster: broker.Cluster,
		client:  broker.Client(kgo.RecordPartitioner(kgo.ManualPartitioner())),
		changed: make(chan struct{}, 1),
	}
}

// kafka returns the options of a client that reaches the cluster with dial. In the hours that a bubble lets pass at once, a
// forwarder's dozen idle readers poll once a minute, and no client asks again for what never changes.
func (s *stage) kafka(dial bubble.Dialer) []kgo.Opt {
	return append(s.broker.Options(dial), kgo.FetchMaxWait(time.Minute), kgo.MetadataMaxAge(time.Hour))
}

// dial returns a client of the cluster that lives as long as the test.
func (s *stage) dial(opts ...kgo.Opt) *kgo.Client {
	s.t.Helper()
	return s.broker.Client(opts...)
}

func (s *stage) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

// send publishes n tasks of a type to the queue "tasks", spread over its partitions, with ids "<type>-<i>".
func (s *stage) send(typ string, n int, opts ...task.Option) {
	s.t.Helper()
	s.sendTo("tasks", typ, n, opts...)
}

func (s *stage) sendTo(queue, typ string, n int, opts ...task.Option) {
	s.t.Helper()
	partitions := len(s.cluster.PartitionInfos(names.Pending(queue)))
	for i := range n {
		t := task.New(typ, nil, append([]task.Option{task.ID(fmt.Sprintf("%s-%d", typ, i)), task.Source("/test")}, opts...)...)
		r := record.Encode(t, names.Pending(queue))
		r.Partition = int32(i % partitions)
		s.client.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				s.t.Errorf("send: %v", err)
			}
		})
	}
	s.flush()
}

// raw publishes records to "tasks" as they are, each to its partition.
func (s *stage) raw(records ...*kgo.Record) {
	s.t.Helper()
	for _, r := range records {
		r.Topic = names.Pending("tasks")
	}
	if err := s.client.ProduceSync(s.context(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) flush() {
	s.t.Helper()
	if err := s.client.Flush(s.context()); err != nil {
		s.t.Fatal(err)
	}
}

// config is that of a consumer of "tasks".
func (s *stage) config(mux *consumer.Mux) consumer.Config {
	return consumer.Config{
		Kafka:   s.kafka(s.dialer),
		Queues:  []consumer.Queue{{Name: "tasks", Retry: retry.Policy{MaxAttempts: 1}}}, // a failure is final
		Mux:     mux,
		Node:    "test",
		Settled: s.observe,
		Log:     zaptest.NewLogger(s.t),

		SessionTimeout: s.session,
	}
}

func (s *stage) observe(e consumer.Settled) {
	if !e.State.Terminal() {
		return // it comes back
	}
	s.mu.Lock()
	s.settled = append(s.settled, e)
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// ends returns the deliveries that are settled by now.
func (s *stage) ends() []consumer.Settled {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.settled)
}

// await waits until n deliveries are settled and returns them.
func (s *stage) await(n int) []consumer.Settled {
	s.t.Helper()
	return s.awaitWithin(patience, n)
}

// awaitWithin is await with a limit of its own, for tasks that end in minutes or hours of a bubble.
func (s *stage) awaitWithin(limit time.Duration, n int) []consumer.Settled {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		if got := s.ends(); len(got) >= n {
			return got
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			s.t.Fatalf("%d of %d deliveries are settled", len(s.ends()), n)
		}
	}
}

// forward brings back what waits in the retry tiers, until the test ends.
func (s *stage) forward() {
	s.t.Helper()
	f, err := retry.New(retry.Config{
		Kafka: s.kafka(s.dialer), Fallback: "tasks", Node: "test", SessionTimeout: time.Minute, Log: zaptest.NewLogger(s.t),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

// A node is a consumer that runs.
type node struct {
	*consumertest.Node
	t *testing.T
}

func (s *stage) start(cfg consumer.Config) *node {
	s.t.Helper()
	return &node{consumertest.Start(s.t, cfg), s.t}
}

// end tells the node to stop.
func (n *node) end() { n.End() }

// stop stops the node and waits for the end of its drain.
func (n *node) stop() error {
	n.t.Helper()
	return n.Stop()
}

// wait waits until the node has stopped.
func (n *node) wait() error {
	n.t.Helper()
	return n.Wait()
}

// assigned waits until the node has so many partitions of its first queue.
func (n *node) assigned(partitions int) {
	n.t.Helper()
	n.until(fmt.Sprintf("%d partitions", partitions), func(s consumer.Stats) bool { return s.Partitions == partitions })
}

// until waits for a state of the node's first queue.
func (n *node) until(what string, ok func(consumer.Stats) bool) {
	n.t.Helper()
	eventually(n.t, what, func() bool { return ok(n.Stats()[0]) })
}

// eventually looks again and again until ok. It is for what nothing tells of.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never seen: %s", what)
		}
	}
}

// letters reads the dead-letter topic of "tasks" to its end.
func (s *stage) letters() []*kgo.Record {
	s.t.Helper()
	return s.broker.Records(names.Dead("tasks"))
}

var group = names.Group("tasktier", "tasks")

// lag is how many records of "tasks" are not committed.
func (s *stage) lag() (lag int64) {
	for _, p := range s.cluster.PartitionInfos(names.Pending("tasks")) {
		lag += p.HighWatermark - max(s.committed(p.Partition), 0)
	}
	return lag
}

// committed is the offset that the group has for a partition of "tasks", -1 if none.
func (s *stage) committed(partition int32) int64 {
	if info := s.cluster.GroupInfo(group); info != nil {
		if c, ok := info.Commits[names.Pending("tasks")][partition]; ok {
			return c.Offset
		}
	}
	return -1
}

// handle registers a handler or fails the test.
func handle(t *testing.T, m *consumer.Mux, typ string, h consumer.Handler) {
	t.Helper()
	if err := m.Handle(typ, h); err != nil {
		t.Fatal(err)
	}
}

// A tally counts runs by task id.
type tally struct {
	mu   sync.Mutex
	runs map[string]int
	list []string // ids in the order of their starts
}

func newTally() *tally { return &tally{runs: make(map[string]int)} }

func (c *tally) run(t *task.Task) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs[t.ID]++
	c.list = append(c.list, t.ID)
	return c.runs[t.ID]
}

func (c *tally) of(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs[id]
}

func (c *tally) order() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.list)
}

// once checks that n tasks of a type ran, each exactly once.
func (c *tally) once(t *testing.T, typ string, n int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	lost, twice := 0, 0
	for i := range n {
		switch c.runs[fmt.Sprintf("%s-%d", typ, i)] {
		case 0:
			lost++
		case 1:
		default:
			twice++
		}
	}
	if lost > 0 || twice > 0 {
		t.Errorf("of %d tasks %d never ran and %d ran more than once", n, lost, twice)
	}
}

// A gate holds handlers up until it is opened.
type gate struct {
	entered chan *task.Task
	open    chan struct{}
}

func newGate() *gate {
	return &gate{entered: make(chan *task.Task, 100_000), open: make(chan struct{})}
}

// await waits until a handler is at the gate.
func (g *gate) await(t *testing.T) *task.Task {
	t.Helper()
	select {
	case at := <-g.entered:
		return at
	case <-time.After(patience):
		t.Fatal("no handler came to the gate")
		return nil
	}
}

// hold is a handler that waits for the gate, whatever happens to its context.
func (g *gate) hold(_ context.Context, t *task.Task) error {
	g.entered <- t
	<-g.open
	return nil
}

// obey is a handler that waits for the gate or for the end of its context.
func (g *gate) obey(ctx context.Context, t *task.Task) error {
	g.entered <- t
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
