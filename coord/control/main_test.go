package control_test

import (
	"context"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/coord/control"
	"github.com/tasktier/tasktier/internal/testenv"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"google.golang.org/grpc"
)

func TestMain(m *testing.M) {
	testenv.Parallel(8) // they wait for etcd
	testenv.Main(m)
}

// slack is for what must happen soon, on a machine that others share.
const slack = 10 * time.Second

func unique(t *testing.T) string { return "/" + testenv.Unique(t) }

func connect(t *testing.T, endpoints ...string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop(), DialOptions: []grpc.DialOption{coord.Reconnect()}})
	must(t, err)
	t.Cleanup(func() { must(t, client.Close()) })
	return client
}

// operator steers the installation of a prefix.
func operator(t *testing.T, client *clientv3.Client, prefix string) control.Operator {
	return control.Operator{Client: client, Prefix: prefix, Name: "ann"}
}

// says wants an operator's word to be taken, and to be new or not.
func says(t *testing.T, changed bool, err error) func(want bool) {
	return func(want bool) {
		t.Helper()
		must(t, err)
		if changed != want {
			t.Errorf("changed is %v, want %v", changed, want)
		}
	}
}

func read(t *testing.T, client *clientv3.Client, prefix string) control.State {
	t.Helper()
	s, err := control.Read(limit(t), client, prefix)
	must(t, err)
	return s
}

// follow runs a watcher until the test ends. The channel has each state that it tells of.
func follow(t *testing.T, client *clientv3.Client, prefix string, edit func(*control.Watcher)) <-chan control.State {
	t.Helper()
	w, err := control.Open(limit(t), client, prefix, zaptest.NewLogger(t))
	must(t, err)
	if edit != nil {
		edit(w)
	}
	told, ended := make(chan control.State, 1000), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- w.Run(ctx, func(s control.State) { told <- s }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return told
}

// hears waits until a watcher tells of a state.
func hears(t *testing.T, told <-chan control.State, what string, is func(control.State) bool) control.State {
	t.Helper()
	timer := time.NewTimer(slack)
	defer timer.Stop()
	for {
		select {
		case s := <-told:
			if is(s) {
				return s
			}
		case <-timer.C:
			t.Fatalf("not told within %s: %s", slack, what)
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
