package consumer

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/retry"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// Config says what a consumer consumes and how much of it at once. Zero values mean the default that stands with the
// field.
type Config struct {
	// Kafka says how to reach the cluster: seed brokers, TLS, SASL, client id. Group and fetch options are the
	// consumer's own. Required.
	Kafka []kgo.Opt
	// Prefix begins the names of the consumer groups, "<prefix>.<queue>". Default "tasktier".
	Prefix string
	// Queues to consume, at least one.
	Queues []Queue
	// Types are settings of single types. A type that is not here has its queue's.
	Types map[string]Type
	// Breaker is for types that have none of their own.
	Breaker Breaker
	// Mux finds the handler of a type. Required; it may change while the consumer runs.
	Mux *Mux
	// Node is this process's name in logs and dead letters. Default: the host's name.
	Node string

	// Concurrency is how many handlers run at once, over all queues. Default 100.
	Concurrency int
	// MaxInflight bounds the records held in memory, over all queues, each of which gets an equal part so that none can
	// use up another's. At least 4 × Concurrency. Default 10,000.
	MaxInflight int
	// MaxInflightBytes bounds their size likewise, in bytes; one poll may pass it. The client fetches ahead a sixteenth of
	// it per broker and queue, compressed as it is on the wire, on top. Default 64 MiB.
	MaxInflightBytes int64
	// MaxSpan bounds, per partition, the records between the oldest unfinished one and the newest. With claims the oldest are
	// handed on when half of it is used up; a partition past it is not fetched until they are settled. Default 100,000.
	MaxSpan int
	// MaxPin is how long one unfinished task may hold back the commit of what was finished behind it; then it is handed on,
	// and runs on. At most a sixth of the queue's Window. It needs Claims. Default 10 min.
	MaxPin time.Duration
	// MaxMessageBytes is the largest letter that is written. Default 1 MiB + 64 KiB.
	MaxMessageBytes int

	// Claims keep, in Redis, who runs what and what became of it: with them every task is done once. Nil: none, and tasks
	// are done at least once.
	Claims *claim.Store
	// Members says who this process is, and which others live. Required with Claims.
	Members claim.Members
	// Proceed lets tasks run while Redis is away, at least once. Default: they wait until it is back.
	Proceed bool
	// Crashes is how many processes a task may take down before it is dead as poison. Default 3.
	Crashes int

	// Limits hands out the slots of types that [Consumer.Apply] limits. Nil: no type can have a limit.
	Limits Limits

	// Drain is how long a stop, or giving a partition back, waits for handlers that run. Default 30 s.
	Drain time.Duration
	// SessionTimeout is how long Kafka waits for a sign of life before it gives this node's partitions to others; at
	// least the broker's group.min.session.timeout.ms (6 s). Default 10 s.
	SessionTimeout time.Duration

	// Settled, if not nil, is told of every record whose end is recorded, once per delivery, from several goroutines.
	// It must not block.
	Settled func(Settled)
	// Log receives what an operator acts on. Default: nothing.
	Log *zap.Logger
}

// A Queue is a queue to consume. Zero values mean the default that stands with the field.
type Queue struct {
	// Name of the queue: its tasks are in the topic "<name>.pending". Required.
	Name string
	// Weight is the queue's part of the slots while queues compete. Default 1.
	Weight int
	// Ordered queues run the tasks of one key one at a time, in the order of their offsets.
	Ordered bool
	// Timeout bounds an attempt, and what a task may ask for. Default 30 min.
	Timeout time.Duration
	// Horizon is how far ahead a task's start may lie; beyond it the task is dead as invalid. Default 1 year.
	Horizon time.Duration
	// Window is how long a finished task is remembered whose id a tasktier producer minted, IDWindow the same for other
	// ids. Defaults 1 h and 24 h.
	Window, IDWindow time.Duration
	// Unhandled is how long a task whose type no node knows is kept waiting for a handler. Default 24 h.
	Unhandled time.Duration
	// Retry is the policy for tasks of types that say nothing else; its MaxAttempts is also the most that a task may ask
	// for. Default: [retry.Default].
	Retry retry.Policy
}

// A Type is the settings of one task type.
type Type struct {
	// Timeout bounds an attempt, and what a task may ask for. 0: the queue's.
	Timeout time.Duration
	// Retry overrides the queue's policy, field by field.
	Retry retry.Policy
	// Breaker overrides the consumer's, field by field; its Off counts as it is. Nil: the consumer's.
	Breaker *Breaker
}

// Settled tells how a delivery of a record ended.
type Settled struct {
	// Task as it was delivered; for undecodable records whatever could be read of it.
	Task *task.Task
	// State is Succeeded, Dead or Canceled; or, when the task comes back as another record, Retrying after a failure, Scheduled if
	// it is not due yet, Pending if it was snoozed or found no handler.
	State task.State
	// Reason says why it is dead.
	Reason task.Reason
	// Err is the error of the last attempt, or what is wrong with the record.
	Err error
	// Due is when a task comes back that does.
	Due time.Time
}

// withDefaults fills in defaults and refuses what can't be.
func (cfg Config) withDefaults() (Config, error) {
	if len(cfg.Kafka) == 0 {
		return cfg, errors.New("configure consumer: no Kafka brokers")
	}
	if cfg.Mux == nil {
		return cfg, errors.New("configure consumer: no mux")
	}
	if len(cfg.Queues) == 0 {
		return cfg, errors.New("configure consumer: no queues")
	}
	orElse(&cfg.Prefix, "tasktier")
	orElse(&cfg.Concurrency, 100)
	orElse(&cfg.MaxInflight, 10_000)
	orElse(&cfg.MaxInflightBytes, 64<<20)
	orElse(&cfg.MaxSpan, 100_000)
	orElse(&cfg.MaxMessageBytes, 1<<20+64<<10)
	orElse(&cfg.Drain, 30*time.Second)
	orElse(&cfg.SessionTimeout, 10*time.Second)
	orElse(&cfg.Log, zap.NewNop())
	orElse(&cfg.Crashes, 3)
	orElse(&cfg.MaxPin, 10*time.Minute)
	cfg.Breaker = cfg.Breaker.over(defaultBreaker)
	if !cfg.Breaker.valid() {
		return cfg, errors.New("configure consumer: the breaker's settings are out of range")
	}
	for name, typ := range cfg.Types {
		if typ.Breaker != nil && !typ.Breaker.over(cfg.Breaker).valid() {
			return cfg, fmt.Errorf("configure consumer: type %q: the breaker's settings are out of range", name)
		}
	}
	if cfg.Claims != nil && cfg.Members == nil {
		return cfg, errors.New("configure consumer: claims need Members, to tell whose owner is gone")
	}
	if cfg.Node == "" {
		host, err := os.Hostname()
		if err != nil {
			return cfg, fmt.Errorf("configure consumer: find a name for the node: %w", err)
		}
		cfg.Node = host
	}
	if cfg.Concurrency < 1 || cfg.MaxInflight < 1 || cfg.MaxInflightBytes < 1 || cfg.MaxSpan < 1 || cfg.Drain < 0 {
		return cfg, errors.New("configure consumer: a limit is negative")
	}
	cfg.MaxInflight = max(cfg.MaxInflight, 4*cfg.Concurrency)

	seen := make(map[string]bool)
	queues := make([]Queue, len(cfg.Queues))
	for i, q := range cfg.Queues {
		if err := names.ValidQueue(q.Name); err != nil {
			return cfg, fmt.Errorf("configure consumer: %w", err)
		}
		if seen[q.Name] {
			return cfg, fmt.Errorf("configure consumer: queue %q is there twice", q.Name)
		}
		seen[q.Name] = true
		orElse(&q.Weight, 1)
		orElse(&q.Timeout, 30*time.Minute)
		orElse(&q.Horizon, 365*24*time.Hour)
		orElse(&q.Unhandled, 24*time.Hour)
		orElse(&q.Window, time.Hour)
		orElse(&q.IDWindow, 24*time.Hour)
		q.Retry = q.Retry.Over(retry.Default)
		if q.Weight < 1 || q.Timeout < 0 || q.Horizon < 0 || q.Unhandled < 0 || q.Retry.MaxAttempts < 1 || q.Retry.Base < 0 || q.Retry.Max < 0 {
			return cfg, fmt.Errorf("configure consumer: queue %q: a setting is negative", q.Name)
		}
		queues[i] = q
	}
	cfg.Queues = queues
	return cfg, nil
}

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
