package limit_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/coord/limit"
	"github.com/tasktier/tasktier/internal/testenv"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	typ = "report.make"

	// Other tests share the machine, which then stands still for a second at a time.
	lasting = 8 * time.Second
	soon    = 10 * time.Second
	never   = 30 * time.Second // of times that are not to come in a test
)

// A node is a membership and a limiter that run.
type node struct {
	*limit.Limiter
	t       *testing.T
	members *coord.Membership
	wire    *wire
	prefix  string
	told    chan string // what Notify told
	stop    func()      // the limiter
	leave   func()      // both
}

type setting struct {
	limit.Config
	ttl time.Duration
}

// join starts a node with one limited type under a prefix; it stops with the test. edit may be nil.
func join(t *testing.T, prefix string, endpoints []string, n int, edit func(*setting)) *node {
	t.Helper()
	w := &wire{conns: map[net.Conn]bool{}}
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop(), DialOptions: []grpc.DialOption{
		coord.Reconnect(), grpc.WithContextDialer(w.dial), grpc.WithChainUnaryInterceptor(w.call),
	}})
	must(t, err)
	t.Cleanup(func() { must(t, client.Close()) })
	set := setting{limit.Config{Client: client, Prefix: prefix, Node: "node", Fair: 20 * time.Millisecond, Linger: 20 * time.Millisecond}, lasting}
	if edit != nil {
		edit(&set)
	}
	members, err := coord.New(coord.Config{Client: client, Prefix: prefix, TTL: set.ttl, Entry: coord.Entry{Name: set.Node}})
	must(t, err)
	leave := run(t, members.Run)
	set.Members = members
	l, err := limit.New(set.Config)
	must(t, err)
	j := &node{Limiter: l, t: t, members: members, wire: w, prefix: prefix, told: make(chan string, 1000)}
	l.Notify(func(typ string) { j.told <- typ })
	l.Set(map[string]limit.Limit{typ: {N: n}})
	j.stop = run(t, l.Run)
	j.leave = func() { j.stop(); leave() }
	_, err = members.Registered(deadline(t))
	must(t, err)
	return j
}

// run runs something until the test or the function that it returns ends it.
func run(t *testing.T, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // ends in the order of the cleanups
	ended := make(chan error, 1)
	go func() { ended <- f(ctx); close(ended) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// takes waits for a slot of the type.
func (n *node) takes() *lease.Slot {
	n.t.Helper()
	timer := time.NewTimer(soon)
	defer timer.Stop()
	for {
		if slot, ok := n.Take(typ); ok {
			return slot
		}
		select {
		case <-n.told:
		case <-timer.C:
			n.t.Fatalf("no slot within %s: %+v", soon, n.Stats())
		}
	}
}

func (n *node) stats() limit.Stats { return n.Stats()[typ] }

// waits waits until the node stands in line.
func (n *node) waits() {
	n.t.Helper()
	within(n.t, "it waits in line", func() bool { return n.stats().Waiting })
}

func (n *node) hasNone() {
	n.t.Helper()
	if slot, ok := n.Take(typ); ok {
		n.t.Fatalf("it took slot %+v", slot)
	}
}

// reader is a client for the test's own looks.
func reader(t *testing.T, endpoints []string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(func() { must(t, client.Close()) })
	return client
}

// usage is what Read says of the type.
func usage(t *testing.T, client *clientv3.Client, prefix string) limit.Usage {
	t.Helper()
	all, err := limit.Read(deadline(t), client, prefix)
	must(t, err)
	for _, u := range all {
		if u.Type == typ {
			return u
		}
	}
	return limit.Usage{}
}

func revision(t *testing.T, client *clientv3.Client) int64 {
	t.Helper()
	reply, err := client.Get(deadline(t), "/")
	must(t, err)
	return reply.Header.Revision
}

// A wire is the network between one node and etcd, which a test can cut, and which can lose replies.
type wire struct {
	mu    sync.Mutex
	down  bool
	conns map[net.Conn]bool
	lose  int           // so many replies to transactions
	lost  chan struct{} // closed when that is done
}

func (w *wire) dial(ctx context.Context, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, net.ErrClosed
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(address, "http://"))
	if err == nil {
		w.conns[conn] = true
	}
	return conn, err
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = true
	for conn := range w.conns {
		_ = conn.Close()
		delete(w.conns, conn)
	}
}

func (w *wire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = false
}

// loses makes so many transactions be done without their sender hearing of it.
func (w *wire) loses(n int) (done <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose, w.lost = n, make(chan struct{})
	return w.lost
}

func (w *wire) call(ctx context.Context, method string, ask, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	err := invoke(ctx, method, ask, reply, conn, options...)
	if method != "/etcdserverpb.KV/Txn" || err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lose == 0 {
		return nil
	}
	if w.lose--; w.lose == 0 {
		close(w.lost)
	}
	return status.Error(codes.Unavailable, "the reply was lost")
}

func hears(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(soon):
		t.Fatalf("not within %s: %s", soon, what)
	}
}

// within waits until something is so.
func within(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick, timer := time.NewTicker(2*time.Millisecond), time.NewTimer(soon)
	defer tick.Stop()
	defer timer.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-timer.C:
			t.Fatalf("not within %s: %s", soon, what)
		}
	}
}

// stays checks that something is so for a while.
func stays(t *testing.T, d time.Duration, what string, is func() bool) {
	t.Helper()
	tick, timer := time.NewTicker(2*time.Millisecond), time.NewTimer(d)
	defer tick.Stop()
	defer timer.Stop()
	for {
		if !is() {
			t.Fatalf("not any more: %s", what)
		}
		select {
		case <-tick.C:
		case <-timer.C:
			return
		}
	}
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func unique(t *testing.T) string { return "/" + testenv.Unique(t) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
