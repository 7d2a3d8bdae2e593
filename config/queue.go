package config

import "time"

// Queue holds the settings of one queue. The zero value is not usable: start from [DefaultQueue]. All nodes of an
// installation should agree on them.
type Queue struct {
	// Weight is the queue's share of a node's slots, relative to the other queues while they have work: that is how
	// priority works. At least 1. Default: 1.
	Weight int `yaml:"weight"`
	// Partitions is the number of partitions its topics are created with. It bounds how many nodes share the queue,
	// not how many tasks run. Default: 24.
	Partitions int `yaml:"partitions"`
	// Ordered runs tasks of the same key one at a time, in the order of their offsets. Default: false.
	Ordered bool `yaml:"ordered"`
	// Window is how long a finished task is remembered whose id a tasktier producer minted. Default: 1h.
	Window time.Duration `yaml:"window"`
	// IDWindow is the same for ids that callers chose. Default: 24h.
	IDWindow time.Duration `yaml:"id_window"`
	// Retry is the policy for tasks and types that say nothing else; its MaxAttempts is also the limit of what a task
	// may ask for.
	Retry Retry `yaml:"retry"`
	// Timeout bounds one attempt: the default, and the limit of what a task may ask for. Default: 30m.
	Timeout time.Duration `yaml:"timeout"`
	// Horizon is how far ahead a task may be delayed. Default: 8760h, a year.
	Horizon time.Duration `yaml:"horizon"`
	// Unhandled is how long a task whose type no node knows is kept waiting for a handler. Default: 24h.
	Unhandled time.Duration `yaml:"unhandled"`
	// MaxBytes bounds a record with its batch overhead (max.message.bytes of the pending topic). At least 1KiB.
	// Default: 1MiB.
	MaxBytes Bytes `yaml:"max_bytes"`
	// History is how long finished records stay readable before they are trimmed. Default: 24h.
	History time.Duration `yaml:"history"`
	// KeepFor are the consumer groups of others that read the queue's tasks, too: what they have not committed is not
	// trimmed. While a group has committed nothing in a partition, nothing is trimmed there. Default: none.
	KeepFor []string `yaml:"keep_for,omitempty"`
}

// Retry is a retry policy: exponential delays with full jitter.
type Retry struct {
	// MaxAttempts is how often a task is tried. Default: 25. In a type, 0: the queue's.
	MaxAttempts int `yaml:"max_attempts,omitempty"`
	// Base is the scale of the first delay. Default: 1s. In a type, 0: the queue's.
	Base time.Duration `yaml:"base,omitempty"`
	// Max bounds the delays. Default: 6h. In a type, 0: the queue's.
	Max time.Duration `yaml:"max,omitempty"`
}

// DefaultQueue holds the settings of a queue of which nothing is said.
func DefaultQueue() Queue {
	return Queue{
		Weight: 1, Partitions: 24, Window: time.Hour, IDWindow: 24 * time.Hour,
		Retry:   Retry{MaxAttempts: 25, Base: time.Second, Max: 6 * time.Hour},
		Timeout: 30 * time.Minute, Horizon: 365 * 24 * time.Hour, Unhandled: 24 * time.Hour, MaxBytes: MiB, History: 24 * time.Hour,
	}
}

func (q *Queue) setDefaults() { *q = DefaultQueue() }

// Type is the handler of one type of task, over HTTP or as a command, and the type's settings. Without a handler
// it is the settings of a type that a Go program handles.
type Type struct {
	// HTTP posts the task to a service. Nil: not this way; at most one of HTTP and Exec may be set.
	HTTP *HTTPHandler `yaml:"http,omitempty"`
	// Exec runs a command with the payload on its standard input. Nil: not this way.
	Exec *ExecHandler `yaml:"exec,omitempty"`
	// Timeout bounds one attempt of a task that asks for nothing else. 0: the queue's.
	Timeout time.Duration `yaml:"timeout,omitempty"`
	// Limit is how many tasks of the type run at a time in the whole cluster. 0: no limit.
	Limit int `yaml:"limit,omitempty"`
	// Retry overrides the queue's policy, field by field.
	Retry Retry `yaml:"retry,omitempty"`
	// Breaker overrides the node's, field by field. Nil: the node's.
	Breaker *Breaker `yaml:"breaker,omitempty"`
}

// HTTPHandler is a service that handles tasks.
type HTTPHandler struct {
	// URL takes a POST per attempt: http or https.
	URL string `yaml:"url"`
	// Timeout bounds one request. 0: the attempt's own timeout alone.
	Timeout time.Duration `yaml:"timeout,omitempty"`
}

// ExecHandler is a command that handles tasks. Only local configuration may name one.
type ExecHandler struct {
	// Command is the program and its arguments; no shell interprets them.
	Command []string `yaml:"command"`
	// Dir is the working directory. Empty: the node's.
	Dir string `yaml:"dir,omitempty"`
	// Env adds variables, each as NAME=value, to those of the node. The task's attributes win.
	Env []string `yaml:"env,omitempty"`
	// Grace is how long the command may go on after SIGTERM before SIGKILL. 0: 3s.
	Grace time.Duration `yaml:"grace,omitempty"`
}
