package tasktier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/handler"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/tasktier/tasktier/middleware"
	"github.com/tasktier/tasktier/middleware/metrics"
	"github.com/tasktier/tasktier/retry"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// Run runs a node until ctx ends and it has drained: [New] and [Node.Run] in one.
func Run(ctx context.Context, cfg config.Config, mux *consumer.Mux, options ...Option) error {
	n, err := New(cfg, mux, options...)
	if err != nil {
		return err
	}
	return n.Run(ctx)
}

// A Node is a process that executes tasks: a consumer with its topics checked, the handlers of the configuration beside
// those of the program, and an HTTP server for probes and metrics.
type Node struct {
	cfg      config.Config
	mux      *consumer.Mux
	log      *zap.Logger
	settled  func(consumer.Settled)
	registry *prometheus.Registry
	kafka    []kgo.Opt
	http     *http.Client // of all http handlers

	mu        sync.Mutex
	consumer  *consumer.Consumer // while it runs
	forwarder *retry.Forwarder   // likewise
	schedules *scheduling        // likewise, if there are any
	keeping   *upkeeping         // likewise, with etcd
	members   *membership        // while it is a member, drained or not
	aborted   bool
}

// An Option changes what a node is built from.
type Option func(*Node)

// WithLogger makes the node log to log. Default: nothing is logged.
func WithLogger(log *zap.Logger) Option { return func(n *Node) { n.log = log } }

// WithSettled has f told of every record whose end is recorded. See [consumer.Config].
func WithSettled(f func(consumer.Settled)) Option { return func(n *Node) { n.settled = f } }

// New builds a node from a configuration and the handlers of mux, to which it adds those of cfg.Types. A nil mux is an
// empty one. Nothing is connected yet. What is wrong with the configuration is a [*config.Error].
func New(cfg config.Config, mux *consumer.Mux, options ...Option) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if mux == nil {
		mux = consumer.NewMux()
	}
	if cfg.Redis != nil && cfg.Etcd == nil {
		return nil, &config.Error{Problems: []config.Problem{{Key: "etcd", Message: errNoEtcd.Error()}}}
	}
	if err := needsEtcd(cfg); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, mux: mux, log: zap.NewNop(), registry: prometheus.NewRegistry(), http: handler.NewClient()}
	for _, o := range options {
		o(n)
	}
	if n.cfg.Node.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("find a name for the node: %w; set node.name", err)
		}
		n.cfg.Node.Name = host
	}
	var err error
	if n.kafka, err = cfg.Kafka.Options(); err != nil {
		return nil, err
	}
	for typ, tc := range cfg.Types {
		h, err := n.handlerOf(tc)
		if err == nil && h != nil {
			err = mux.Handle(typ, h)
		}
		if err != nil {
			return nil, &config.Error{Problems: []config.Problem{{Key: "types." + typ, Message: err.Error()}}}
		}
	}
	n.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), statsCollector{n}, scheduleCollector{n}, clusterCollector{n})
	mux.Use(metrics.New(n.registry), middleware.Logging(n.log))
	return n, nil
}

func (n *Node) handlerOf(tc config.Type) (consumer.Handler, error) {
	switch {
	case tc.HTTP != nil:
		return handler.HTTP(handler.HTTPConfig{URL: tc.HTTP.URL, Timeout: tc.HTTP.Timeout, Client: n.http})
	case tc.Exec != nil:
		return handler.Exec(handler.ExecConfig{Command: tc.Exec.Command, Dir: tc.Exec.Dir, Env: tc.Exec.Env, Grace: tc.Exec.Grace})
	default:
		return nil, nil // settings of a type whose handler is Go
	}
}

// set notes what runs, for statistics and Abort.
func (n *Node) set(c *consumer.Consumer, f *retry.Forwarder) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.consumer, n.forwarder = c, f
	if n.aborted && c != nil {
		c.Abort()
	}
}

// Abort cancels the contexts of running handlers: what a second signal does while the node drains.
func (n *Node) Abort() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.aborted = true
	if n.consumer != nil {
		n.consumer.Abort()
	}
}

// running returns the consumer and the forwarder, or nil while there are none.
func (n *Node) running() (*consumer.Consumer, *retry.Forwarder) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.consumer, n.forwarder
}

// An UnreachableError says which server did not answer.
type UnreachableError struct {
	Server    string // kafka, redis or etcd
	Addresses []string
	Err       error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s is not reachable at %s: %v", e.Server, strings.Join(e.Addresses, ", "), e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// connectPatience bounds the first contact with a server.
const connectPatience = 10 * time.Second

// ensureTopics refuses to run on topics that could lose work, and creates those that are missing if it may.
func (n *Node) ensureTopics(ctx context.Context) error {
	client, err := kgo.NewClient(n.kafka...)
	if err != nil {
		return fmt.Errorf("configure kafka: %w", err)
	}
	defer client.Close()
	if err := Reach(ctx, client, n.cfg.Kafka); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return topic.Ensure(ctx, kadm.NewClient(client), Topics(n.cfg), n.cfg.Kafka.CreateTopics)
}

// Reach says whether a broker answers within 10 s: nil or an [*UnreachableError].
func Reach(ctx context.Context, client *kgo.Client, k config.Kafka) error {
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		var dial *net.OpError
		if errors.As(err, &dial) {
			err = dial.Err
		}
		return &UnreachableError{Server: "kafka", Addresses: k.Brokers, Err: err}
	}
	return nil
}

func (n *Node) consumerConfig() consumer.Config {
	types := make(map[string]consumer.Type, len(n.cfg.Types))
	for typ, tc := range n.cfg.Types {
		types[typ] = consumer.Type{Timeout: tc.Timeout, Retry: retry.Policy(tc.Retry)}
		if tc.Breaker != nil {
			b := breaker(*tc.Breaker)
			types[typ] = consumer.Type{Timeout: tc.Timeout, Retry: retry.Policy(tc.Retry), Breaker: &b}
		}
	}
	c := consumer.Config{
		Kafka: n.kafka, Prefix: n.cfg.Kafka.Prefix, Types: types, Mux: n.mux, Node: n.cfg.Node.Name,
		Concurrency: n.cfg.Node.Concurrency, MaxInflight: n.cfg.Node.MaxInflight, MaxInflightBytes: int64(n.cfg.Node.MaxInflightBytes),
		Breaker: breaker(n.cfg.Node.Breaker), Drain: n.cfg.Node.Drain, SessionTimeout: max(n.cfg.Node.LeaseTTL, 6*time.Second),
		Settled: n.settled, Log: n.log,
	}
	for _, name := range n.queueNames() {
		q := n.cfg.Queues[name]
		c.Queues = append(c.Queues, consumer.Queue{Name: name, Weight: q.Weight, Ordered: q.Ordered, Timeout: q.Timeout, Horizon: q.Horizon, Unhandled: q.Unhandled, Window: q.Window, IDWindow: q.IDWindow, Retry: retry.Policy(q.Retry)})
		c.MaxMessageBytes = max(c.MaxMessageBytes, int(q.MaxBytes)+topic.LetterRoom)
	}
	return c
}

func breaker(b config.Breaker) consumer.Breaker {
	return consumer.Breaker{Off: !b.Enabled, Threshold: b.Threshold, MinAttempts: b.MinAttempts, Window: b.Window, Limit: b.Limit}
}

func (n *Node) forwarderConfig() retry.Config {
	c := n.consumerConfig()
	return retry.Config{
		Kafka: n.kafka, Prefix: c.Prefix, Fallback: c.Queues[0].Name, Node: c.Node,
		MaxBytes: c.MaxInflightBytes, MaxMessageBytes: c.MaxMessageBytes, SessionTimeout: c.SessionTimeout, Log: n.log,
	}
}

func (n *Node) queueNames() []string {
	queues := make([]string, 0, len(n.cfg.Queues))
	for name := range n.cfg.Queues {
		queues = append(queues, name)
	}
	slices.Sort(queues)
	return queues
}

// announce says once what an operator may expect and does not get from this version.
func (n *Node) announce() {
	if n.cfg.Redis == nil {
		n.log.Warn("no redis section: without claims tasks are done at least once, and their state is not known")
	}
}
