package deadletter_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// A ground is a cluster with the dead-letter topic of one queue, and a store on it.
type ground struct {
	t      testing.TB
	queue  string
	addrs  []string
	kafka  []kgo.Opt   // what a client needs to get there
	client *kgo.Client // for what tests do behind the store's back
	store  *deadletter.Store
}

// kafkas are the brokers that the store must work with.
var kafkas = map[string]func(t testing.TB) []string{
	"kfake": func(t testing.TB) []string {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		return cluster.ListenAddrs()
	},
	"kafka": func(t testing.TB) []string { return testenv.Kafka(t) },
}

// on runs a test on each of the brokers, with a compacted topic of so many partitions. A short run has kfake alone.
func on(t *testing.T, partitions int32, test func(t *testing.T, g *ground)) {
	t.Helper()
	onEach(t, "kafka", func(t *testing.T, start func(t testing.TB) []string) {
		test(t, newGround(t, start(t), partitions, nil))
	})
}

// onKafka is on where it is the broker that decides. A short run has real Kafka alone.
func onKafka(t *testing.T, partitions int32, test func(t *testing.T, g *ground)) {
	t.Helper()
	onEach(t, "kfake", func(t *testing.T, start func(t testing.TB) []string) {
		test(t, newGround(t, start(t), partitions, nil))
	})
}

// onEach runs a test on each of the brokers, in a short run on all but one.
func onEach(t *testing.T, long string, test func(t *testing.T, start func(t testing.TB) []string)) {
	t.Helper()
	for name, start := range kafkas {
		t.Run(name, func(t *testing.T) {
			if name == long && testing.Short() {
				t.Skip("the same on the other broker: ./check long runs both")
			}
			test(t, start)
		})
	}
}

// inBubble runs a test on kfake in a bubble, whose clock stands still while anything moves.
func inBubble(t *testing.T, partitions int32, test func(t *testing.T, cluster *kfake.Cluster, g *ground)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		network := new(bubble.Network)
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(network.Listen))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		test(t, cluster, newGround(t, cluster.ListenAddrs(), partitions, nil, kgo.Dialer(network.DialContext)))
	})
}

func newGround(t testing.TB, addrs []string, partitions int32, settings map[string]string, opts ...kgo.Opt) *ground {
	t.Helper()
	opts = append([]kgo.Opt{kgo.SeedBrokers(addrs...)}, opts...)
	client, err := kgo.NewClient(append(slices.Clone(opts), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.MaxBufferedRecords(100_000))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	g := &ground{t: t, queue: testenv.Unique(t), addrs: addrs, kafka: opts, client: client}
	configs := map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}
	for k, v := range settings {
		configs[k] = kadm.StringPtr(v)
	}
	testenv.CreateTopics(t, client, partitions, configs, names.Dead(g.queue))
	g.store, err = deadletter.Open(deadletter.Config{Kafka: opts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.store.Close)
	return g
}

// A death is a letter to be laid into the ground.
type death struct {
	id, source, typ string
	generation      int
	reason          task.Reason
	err             string
	died            time.Time
	payload         string
	key             string      // of the original record
	raw             *kgo.Record // instead of a task: what could not be decoded, read from origin
	origin          string
	headers         []kgo.RecordHeader
}

// epoch is when the first one dies, if a test does not say.
var epoch = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

func (d death) record(queue string) *kgo.Record {
	if d.source == "" {
		d.source = "/test"
	}
	if d.typ == "" {
		d.typ = "mail.send"
	}
	if d.reason == "" {
		d.reason = task.ReasonFailed
	}
	if d.died.IsZero() {
		d.died = epoch
	}
	s := record.Stamp{Reason: d.reason, Err: d.err, FirstErr: "first " + d.err, Origin: d.origin, Node: "node-1", Died: d.died, Crashes: 1}
	original, key := d.raw, deadletter.OriginKey(d.origin)
	if original == nil {
		t := &task.Task{ID: d.id, Source: d.source, Type: d.typ, Payload: []byte(d.payload), ContentType: "application/json"}
		original, key = record.Encode(t, names.Pending(queue)), deadletter.Key(d.source, d.id, d.generation)
		original.Headers = append(original.Headers, d.headers...)
		s.Generation, s.Turn, s.Attempt = d.generation, 3, 4
	}
	if d.key != "" {
		s.Key = []byte(d.key)
	}
	return record.Move(original, names.Dead(queue), key, s)
}

// bury lays letters into the ground, in their order.
func (g *ground) bury(deaths ...death) {
	g.t.Helper()
	records := make([]*kgo.Record, len(deaths))
	for i, d := range deaths {
		records[i] = d.record(g.queue)
	}
	g.produce(records...)
}

func (g *ground) produce(records ...*kgo.Record) {
	g.t.Helper()
	if err := g.client.ProduceSync(g.t.Context(), records...).FirstErr(); err != nil {
		g.t.Fatal(err)
	}
}

// raise writes the tombstone of a letter.
func (g *ground) raise(id string, generation int) {
	g.t.Helper()
	g.produce(&kgo.Record{Topic: names.Dead(g.queue), Key: deadletter.Key("/test", id, generation)})
}

// list returns the letters that match, and wants no error.
func (g *ground) list(f deadletter.Filter) (letters []*deadletter.Letter) {
	g.t.Helper()
	for l, err := range g.store.List(g.t.Context(), g.queue, f) {
		if err != nil {
			g.t.Fatal(err)
		}
		letters = append(letters, l)
	}
	return letters
}

// ids are what letters are called, in their order, with the generation if it is not the first one.
func ids(letters []*deadletter.Letter) []string {
	names := make([]string, len(letters))
	for i, l := range letters {
		names[i] = l.ID()
		if l.Generation > 0 {
			names[i] += "#" + strconv.Itoa(l.Generation)
		}
	}
	return names
}

// many are letters named by a number, a millisecond between two deaths.
func many(n int) []death {
	deaths := make([]death, n)
	for i := range deaths {
		deaths[i] = death{id: fmt.Sprint(i), err: fmt.Sprintf("order %d not found", i), died: epoch.Add(time.Duration(i) * time.Millisecond)}
	}
	return deaths
}

// flood lays n letters into the ground without keeping them in memory: one in a thousand is of the type rare.
func (g *ground) flood(ctx context.Context, n int) {
	g.t.Helper()
	for i := range n {
		d := death{
			id: fmt.Sprintf("0199a2b4-7c1d-7e4f-9b3a-%012d", i), source: "/shop/orders", typ: "mail.send", reason: task.ReasonExhausted,
			err: fmt.Sprintf("send mail to customer %d: connection refused after %dms", i, i%5000), died: epoch.Add(time.Duration(i) * time.Millisecond),
			payload: `{"to":"someone@example.com","subject":"Your order has been shipped","order":12345678901234}`, origin: "tasks.pending/7/123456",
		}
		if i%1000 == 0 {
			d.typ = "rare"
		}
		g.client.Produce(ctx, d.record(g.queue), func(_ *kgo.Record, err error) {
			if err != nil {
				g.t.Error(err)
			}
		})
	}
	if err := g.client.Flush(ctx); err != nil {
		g.t.Fatal(err)
	}
}
