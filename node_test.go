package tasktier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/embedded"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/tasktier/tasktier/internal/upkeep"
	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"
)

func TestMain(m *testing.M) {
	testenv.Parallel(4) // they wait most of the time
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of these tests.
const patience = time.Minute

// stack starts the embedded servers and returns a configuration that reaches them.
func stack(t *testing.T) config.Config {
	t.Helper()
	cfg := cluster(t)
	cfg.Redis, cfg.Etcd = nil, nil
	return cfg
}

// cluster is stack with Redis and etcd.
func cluster(t *testing.T) config.Config {
	t.Helper()
	s, err := embedded.Start(t.Context(), embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg := config.Default()
	cfg.Kafka.Brokers = s.KafkaAddrs()
	cfg.Redis.Addresses, cfg.Etcd.Endpoints = []string{s.RedisAddr()}, s.EtcdEndpoints()
	cfg.Node.HTTP = free(t)
	return cfg
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// get returns the status and body of a path of the node's server, or 0 when there is none.
func get(t *testing.T, addr, path string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + addr + path)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestNodeExecutesTasks(t *testing.T) {
	t.Parallel()
	cfg := stack(t)
	cfg.Types = map[string]config.Type{"remote": {HTTP: &config.HTTPHandler{URL: "http://" + free(t)}}}
	q := config.DefaultQueue()
	q.Retry.MaxAttempts = 1
	cfg.Queues = map[string]config.Queue{"tasks": q}
	ran := make(chan string, 1)
	mux := consumer.NewMux()
	if err := mux.Handle("local", func(_ context.Context, t *task.Task) error { ran <- t.ID; return nil }); err != nil {
		t.Fatal(err)
	}
	settled := make(chan consumer.Settled, 2)
	n, err := New(cfg, mux, WithLogger(zaptest.NewLogger(t)), WithSettled(func(s consumer.Settled) { settled <- s }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()

	p, err := producer.New(producer.Config{Brokers: cfg.Kafka.Brokers})
	if err != nil {
		t.Fatal(err)
	}
	// The node creates the topic; until it has, sending says that there is none.
	for err = producer.ErrNoTopic; errors.Is(err, producer.ErrNoTopic); {
		err = p.Send(ctx, task.New("local", nil, task.ID("7")))
	}
	if err != nil {
		t.Fatal(err)
	}
	if id := <-ran; id != "7" {
		t.Errorf("task %q ran, want 7", id)
	}
	<-settled
	if err := p.Send(ctx, task.New("remote", nil)); err != nil {
		t.Fatal(err)
	}
	if s := <-settled; s.State != task.Dead || !strings.Contains(s.Err.Error(), "refused") {
		t.Errorf("a task of a service that is not there ends as %s, %v", s.State, s.Err)
	}
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}

	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := get(t, cfg.Node.HTTP, path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	_, metrics := get(t, cfg.Node.HTTP, "/metrics")
	for _, want := range []string{
		`tasktier_consumer_succeeded_total{queue="tasks"} 1`,
		`tasktier_consumer_dead_total{queue="tasks"} 1`,
		`tasktier_handler_duration_seconds_count{outcome="succeeded",queue="tasks",type="local"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics does not have %s", want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
	if status, _ := get(t, cfg.Node.HTTP, "/healthz"); status != 0 {
		t.Errorf("the server of probes still answers after Run: %d", status)
	}
}

func TestNodeRefusesUnsafeTopic(t *testing.T) {
	t.Parallel()
	cfg := stack(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	week := "604800000"
	resp, err := kadm.NewClient(cl).CreateTopics(t.Context(), 1, 1, map[string]*string{"retention.ms": &week}, names.Pending("tasks"), names.Dead("tasks"))
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	err = Run(t.Context(), cfg, nil)
	var unsafe *topic.UnsafeError
	if !errors.As(err, &unsafe) || !strings.Contains(err.Error(), "tasktier topic apply") {
		t.Errorf("run: %v, want an unsafe topic and the command that mends it", err)
	}
}

func TestNodeWithoutKafka(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Kafka.Brokers = []string{free(t)}
	err := Run(t.Context(), cfg, nil)
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), cfg.Kafka.Brokers[0]) {
		t.Errorf("run: %v, want that Kafka is not reachable at %s", err, cfg.Kafka.Brokers[0])
	}
}

// A broker that answered and is away again is no other error than one that never answered.
func TestBrokerThatLeavesDuringTheStart(t *testing.T) {
	n := &Node{cfg: config.Config{Kafka: config.Kafka{Brokers: []string{"broker:9092"}}}}
	left := fmt.Errorf("read offsets: %w", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)})
	unknown := &upkeep.UnknownOffsetError{Queue: "q"}
	away := (*UnreachableError)(nil)
	if err := n.unresumed(left); !errors.As(err, &away) || away.Server != "kafka" || away.Addresses[0] != "broker:9092" || !errors.Is(err, left) {
		t.Errorf("a connection that was reset: %v", err)
	}
	for _, err := range []error{nil, unknown, errors.Join(left, unknown), errors.New("something else")} {
		if got := n.unresumed(err); got != err {
			t.Errorf("%v has become %v", err, got)
		}
	}
}

func TestNodeRefusesDoubleHandler(t *testing.T) {
	cfg := config.Default()
	cfg.Types = map[string]config.Type{"mail": {HTTP: &config.HTTPHandler{URL: "http://127.0.0.1:1"}}}
	mux := consumer.NewMux()
	if err := mux.Handle("mail", func(context.Context, *task.Task) error { return nil }); err != nil {
		t.Fatal(err)
	}
	_, err := New(cfg, mux)
	var wrong *config.Error
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "types.mail") {
		t.Errorf("new: %v, want a configuration error of types.mail", err)
	}
}

func TestAbortBeforeRun(t *testing.T) {
	t.Parallel()
	cfg := stack(t)
	n, err := New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	n.Abort()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Run(ctx); err != nil {
		t.Errorf("run: %v", err)
	}
}
