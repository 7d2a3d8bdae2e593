package coord_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/coord/lease"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"google.golang.org/grpc"
)

// A node is a membership that runs.
type node struct {
	*coord.Membership
	t      *testing.T
	prefix string
	etcd   *clientv3.Client // its own
	gone   chan string      // what Config.Gone was told
	stop   func()           // as an operator would
}

func connect(t *testing.T, endpoints ...string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop(), DialOptions: []grpc.DialOption{coord.Reconnect()}})
	must(t, err)
	t.Cleanup(func() { must(t, client.Close()) })
	return client
}

// join starts a membership under a prefix; it stops with the test. edit may be nil.
func join(t *testing.T, prefix string, endpoints []string, edit func(*coord.Config)) *node {
	t.Helper()
	n := &node{t: t, prefix: prefix, etcd: connect(t, endpoints...), gone: make(chan string, 100)}
	cfg := coord.Config{Client: n.etcd, Prefix: prefix, TTL: ttl, Gone: func(id string) { n.gone <- id }, Log: zaptest.NewLogger(t)}
	if edit != nil {
		edit(&cfg)
	}
	var err error
	n.Membership, err = coord.New(cfg)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx); close(ended) }()
	n.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(n.stop)
	return n
}

// session waits for a session that isn't over.
func (n *node) session() *lease.Lease {
	n.t.Helper()
	l, err := n.Wait(limit(n.t))
	must(n.t, err)
	return l
}

// registered waits for a session that is trusted.
func (n *node) registered() *lease.Lease {
	n.t.Helper()
	l := n.session()
	within(n.t, slack, "session "+l.ID()+" is trusted", l.Trusted)
	return l
}

func (n *node) key(id string) string { return n.prefix + "/nodes/" + id }

// read returns the key of a session, nil if there is none.
func (n *node) read(client *clientv3.Client, id string) *mvccpb.KeyValue {
	n.t.Helper()
	reply, err := client.Get(limit(n.t), n.key(id))
	must(n.t, err)
	if len(reply.Kvs) == 0 {
		return nil
	}
	return reply.Kvs[0]
}

// hears waits until the node was told that a session left.
func (n *node) hears(id string, d time.Duration) {
	n.t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case got := <-n.gone:
			if got == id {
				return
			}
		case <-timer.C:
			n.t.Fatalf("was not told within %s that %s left", d, id)
		}
	}
}

// ends waits until a lease is done.
func ends(t *testing.T, l *lease.Lease, d time.Duration) {
	t.Helper()
	select {
	case <-l.Done():
	case <-time.After(d):
		t.Fatalf("session %s did not end within %s", l.ID(), d)
	}
	if l.Trusted() {
		t.Error("its end is announced and it is trusted")
	}
}

func open(l *lease.Lease) bool {
	select {
	case <-l.Done():
		return false
	default:
		return true
	}
}

// A process is another process that is a member.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines map[string]chan string // by their first word
	ask   func()
}

func spawn(t *testing.T, endpoint, prefix string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0]), lines: map[string]chan string{"session": make(chan string, 100), "trusted": make(chan string, 100)}}
	p.cmd.Env = append(os.Environ(), childVariable+"="+endpoint+" "+prefix)
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	must(t, err)
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	must(t, p.cmd.Start())
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			word, rest, _ := strings.Cut(lines.Text(), " ")
			if said := p.lines[word]; said != nil {
				said <- rest
			}
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-read
		_ = p.cmd.Wait() // killed: it is an error
	})
	p.ask = func() {
		_, err := in.Write([]byte("\n"))
		must(t, err)
	}
	return p
}

// says waits for the next line that begins with a word and returns the rest.
func (p *process) says(word string) string {
	p.t.Helper()
	select {
	case rest := <-p.lines[word]:
		return rest
	case <-time.After(30 * time.Second):
		p.t.Fatalf("the process does not say %q", word)
		return ""
	}
}

// within waits until something is so.
func within(t *testing.T, d time.Duration, what string, is func() bool) {
	t.Helper()
	tick, timer := time.NewTicker(10*time.Millisecond), time.NewTimer(d)
	defer tick.Stop()
	defer timer.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-timer.C:
			t.Fatalf("not within %s: %s", d, what)
		}
	}
}

// stays checks that something is so for a while.
func stays(t *testing.T, d time.Duration, what string, is func() bool) {
	t.Helper()
	tick, timer := time.NewTicker(10*time.Millisecond), time.NewTimer(d)
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

func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
