package config

import "time"

// Config is everything a node and the command line are told. Build one with [Default], or read one with [Load]; change
// its fields freely, then call [Config.Validate].
//
// In a file a key without a value is as if it were not there. Relative paths start at the working directory.
type Config struct {
	// Kafka is where tasks live.
	Kafka Kafka `yaml:"kafka"`
	// Redis remembers what was done. Nil: none, and the pipeline runs at-least-once. A config file without a redis
	// section, or with an empty list of addresses, means none; no file at all means the one of [Default].
	Redis *Redis `yaml:"redis,omitempty"`
	// Etcd knows who is alive. Nil: none. The rules of Redis hold.
	Etcd *Etcd `yaml:"etcd,omitempty"`
	// Node describes this process.
	Node Node `yaml:"node"`
	// Queues are the queues a node consumes, by name. A file that names queues consumes these alone; without any it is
	// the queue "tasks".
	Queues map[string]Queue `yaml:"queues"`
	// Types are handlers for those who write no Go, by type of task.
	Types map[string]Type `yaml:"types,omitempty"`
	// Schedules enqueue tasks by the clock, by name.
	Schedules map[string]Schedule `yaml:"schedules,omitempty"`

	origin map[string]string // where Load found a key: "file:line" or a variable's name; for Validate's messages
}

// Kafka says how to reach the cluster and what this installation owns there.
type Kafka struct {
	// Brokers are the seeds, as host:port. Default: 127.0.0.1:9092.
	Brokers []string `yaml:"brokers"`
	// CreateTopics lets a node create the topics it misses; it never alters one. Default: true.
	CreateTopics bool `yaml:"create_topics"`
	// Prefix begins the names of consumer groups and of the topics that queues share. Installations that share a
	// cluster need one each. Default: "tasktier".
	Prefix string `yaml:"prefix"`
	// Replication is the replication factor of topics to create. Default 0: 3, or as many as there are brokers.
	Replication int `yaml:"replication"`
	// TLS is off by default.
	TLS TLS `yaml:"tls"`
	// SASL is off by default.
	SASL SASL `yaml:"sasl"`
}

// SASL is how to log in to Kafka.
type SASL struct {
	// Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. Empty: no login.
	Mechanism string `yaml:"mechanism"`
	// User is the user's name.
	User string `yaml:"user"`
	// PasswordFile holds the password; a newline at its end is not part of it.
	PasswordFile string `yaml:"password_file"`
}

// TLS secures the connections to a server. The certificate of the server is always verified.
type TLS struct {
	// Enabled turns it on. Default: false.
	Enabled bool `yaml:"enabled"`
	// CA is a PEM file with the authorities to trust. Empty: those of the system.
	CA string `yaml:"ca"`
	// Cert and Key are PEM files with the client's own certificate. Empty: none; either both or neither.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// What nodes do while Redis is away.
const (
	Wait    = "wait"    // start nothing, finish what runs
	Proceed = "proceed" // go on, at-least-once
)

// Redis says how to reach the server, or the cluster, that keeps the claims.
type Redis struct {
	// Addresses are host:port: of the one server, or seeds of the cluster. Default: 127.0.0.1:6379.
	Addresses []string `yaml:"addresses"`
	// Cluster says that the addresses belong to a Redis Cluster. Default: false.
	Cluster bool `yaml:"cluster"`
	// Username is the user's name (ACL). Empty: the default user.
	Username string `yaml:"username"`
	// PasswordFile holds the password; a newline at its end is not part of it. Empty: no password.
	PasswordFile string `yaml:"password_file"`
	// TLS is off by default.
	TLS TLS `yaml:"tls"`
	// WhenAway is what nodes do while Redis can't be reached: [Wait] or [Proceed]. Default: wait.
	WhenAway string `yaml:"when_away"`
}

// Etcd says how to reach the cluster that coordinates the nodes.
type Etcd struct {
	// Endpoints are host:port or URLs. Default: 127.0.0.1:2379.
	Endpoints []string `yaml:"endpoints"`
	// Prefix begins all keys. Default: "/tasktier".
	Prefix string `yaml:"prefix"`
	// Username is the user's name. Empty: no login.
	Username string `yaml:"username"`
	// PasswordFile holds the password; a newline at its end is not part of it.
	PasswordFile string `yaml:"password_file"`
	// TLS is off by default.
	TLS TLS `yaml:"tls"`
}

// Node describes one process.
type Node struct {
	// Name tells nodes apart in logs, dead letters and the registry. Empty, the default: the host's name.
	Name string `yaml:"name"`
	// Concurrency is how many tasks run at a time. Default: 100.
	Concurrency int `yaml:"concurrency"`
	// Drain is how long a stopping node waits for its running tasks. Default: 30s.
	Drain time.Duration `yaml:"drain"`
	// HTTP is the address of /healthz, /readyz and /metrics, as host:port or :port. Empty: none. Default: ":9400".
	HTTP string `yaml:"http"`
	// LeaseTTL is how long a node that fell silent is still taken for alive, in whole seconds. At least 2s. Default: 10s.
	LeaseTTL time.Duration `yaml:"lease_ttl"`
	// MaxInflight bounds the records that were fetched and are not done. At least Concurrency. Default: 10000.
	MaxInflight int `yaml:"max_inflight"`
	// MaxInflightBytes bounds their size. At least the largest queue's MaxBytes. Default: 64MiB.
	MaxInflightBytes Bytes `yaml:"max_inflight_bytes"`
	// Breaker is for the types that have no section of their own.
	Breaker Breaker `yaml:"breaker"`
}

// Default is the configuration without a file: Kafka, Redis and etcd at local addresses, one queue "tasks", no
// handlers, no schedules. It is valid.
func Default() Config {
	var c Config
	c.setDefaults()
	c.Redis, c.Etcd = new(Redis), new(Etcd)
	c.Redis.setDefaults()
	c.Etcd.setDefaults()
	return c
}

// setDefaults is the base a config file builds on: servers that a file leaves out are not there.
func (c *Config) setDefaults() {
	*c = Config{
		Kafka: Kafka{Brokers: []string{"127.0.0.1:9092"}, CreateTopics: true, Prefix: "tasktier"},
		Node: Node{
			Concurrency: 100, Drain: 30 * time.Second, HTTP: ":9400", LeaseTTL: 10 * time.Second,
			MaxInflight: 10_000, MaxInflightBytes: 64 * MiB, Breaker: defaultBreaker(),
		},
		Queues: map[string]Queue{"tasks": DefaultQueue()},
	}
}

func (r *Redis) setDefaults() {
	*r = Redis{Addresses: []string{"127.0.0.1:6379"}, WhenAway: Wait}
}

func (e *Etcd) setDefaults() {
	*e = Etcd{Endpoints: []string{"127.0.0.1:2379"}, Prefix: "/tasktier"}
}
