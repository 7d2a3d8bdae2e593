package producer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/tier"
	"github.com/tasktier/tasktier/producer"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen but may take its time on a busy machine.
const patience = 30 * time.Second

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// cluster is a Kafka of one broker with three partitions for the default queue.
func cluster(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, "tasks.pending", "mail.pending"),
		kfake.SeedTopics(tier.Minute.Partitions, "tasktier.retry.minute"), kfake.SeedTopics(tier.Hour.Partitions, "tasktier.retry.hour")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// open makes a producer that is closed when the test ends, whatever is still under way.
func open(t testing.TB, cfg producer.Config) *producer.Producer {
	t.Helper()
	p, err := producer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.Close(ctx)
	})
	return p
}

// read returns the first n records of a topic, and fails if it holds more.
func read(t testing.TB, c *kfake.Cluster, topic string, n int) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var rs []*kgo.Record
	for ctx := within(t, patience); len(rs) < n; {
		fs := cl.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatalf("read %s: %v, after %d of %d records", topic, err, len(rs), n)
		}
		rs = append(rs, fs.Records()...)
	}
	if held := stored(c, topic); len(rs) > n || held > int64(n) {
		t.Errorf("topic %s holds %d records, want %d", topic, held, n)
	}
	return rs
}

// stored is how many records a topic holds.
func stored(c *kfake.Cluster, topic string) (n int64) {
	for _, p := range c.PartitionInfos(topic) {
		n += p.HighWatermark
	}
	return n
}

// A gate is a network that can be cut: connections can't be made while it is shut, and those made break.
type gate struct {
	open  atomic.Bool
	tried chan struct{} // receives when a connection was refused
}

func newGate() *gate { return &gate{tried: make(chan struct{}, 1)} }

var errShut = errors.New("the gate is shut")

func (g *gate) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if !g.open.Load() {
		select {
		case g.tried <- struct{}{}:
		default:
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: errShut}
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// A lossy network delivers the first produce request and loses its reply.
type lossy struct{ lost atomic.Bool }

func (l *lossy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	return &lossyConn{Conn: c, l: l}, err
}

type lossyConn struct {
	net.Conn
	l   *lossy
	cut atomic.Bool
}

// Write sees whole requests: four bytes of length, then the request's key, which is 0 for produce.
func (c *lossyConn) Write(b []byte) (int, error) {
	if len(b) > 6 && b[4] == 0 && b[5] == 0 && c.l.lost.CompareAndSwap(false, true) {
		c.cut.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *lossyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.cut.Load() {
		c.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}
