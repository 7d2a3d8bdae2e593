package config

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tasktier/tasktier/internal/names"
)

// Validate says what keeps the configuration from being used: nil, or a [*Error] with everything found, each with
// the place that set it if [Load] did. It reads the files that the configuration names, and reaches no server.
func (c *Config) Validate() error {
	v := validator{origin: c.origin}
	v.kafka(c.Kafka)
	if c.Redis != nil {
		v.redis(*c.Redis)
	}
	if c.Etcd != nil {
		v.etcd(*c.Etcd)
	}
	v.node(c.Node)
	v.queues(c.Queues, c.Node)
	for _, name := range slices.Sorted(maps.Keys(c.Types)) {
		v.handler("types."+name, name, c.Types[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.Schedules)) {
		v.schedule(c, name)
	}
	return v.problems.err()
}

type validator struct {
	origin   map[string]string
	problems problems
}

func (v *validator) must(ok bool, key, format string, args ...any) {
	if !ok {
		v.problems = append(v.problems, Problem{v.where(key), key, fmt.Sprintf(format, args...)})
	}
}

// where is what set the key, or the nearest section above it.
func (v *validator) where(key string) string {
	for {
		if w, ok := v.origin[key]; ok {
			return w
		}
		i := max(strings.LastIndexByte(key, '.'), strings.LastIndexByte(key, '['))
		if i < 0 {
			return ""
		}
		key = key[:i]
	}
}

func (v *validator) kafka(k Kafka) {
	v.addresses("kafka.brokers", k.Brokers)
	v.must(names.ValidQueue(k.Prefix) == nil, "kafka.prefix",
		"%q can't begin the names of topics and groups; use ASCII letters, digits, '_', '-' and '.' inside", k.Prefix)
	v.must(k.Replication >= 0 && k.Replication <= 1000, "kafka.replication", "is %d; use 1 or more, or 0 to choose by the brokers there are", k.Replication)
	v.tls("kafka.tls", k.TLS)
	switch k.SASL.Mechanism {
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		v.must(k.SASL.User != "", "kafka.sasl.user", "is empty, but a mechanism is set")
		v.must(k.SASL.PasswordFile != "", "kafka.sasl.password_file", "is empty, but a mechanism is set")
	case "":
		v.must(k.SASL.User == "" && k.SASL.PasswordFile == "", "kafka.sasl.mechanism", "is empty, but a user or a password is set")
	default:
		v.must(false, "kafka.sasl.mechanism", "is %q; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", k.SASL.Mechanism)
	}
	v.readable("kafka.sasl.password_file", k.SASL.PasswordFile)
}

func (v *validator) redis(r Redis) {
	v.addresses("redis.addresses", r.Addresses)
	v.must(r.Cluster || len(r.Addresses) == 1, "redis.addresses", "has %d addresses; several need cluster: true", len(r.Addresses))
	v.must(r.WhenAway == Wait || r.WhenAway == Proceed, "redis.when_away", "is %q; use wait or proceed", r.WhenAway)
	v.tls("redis.tls", r.TLS)
	v.readable("redis.password_file", r.PasswordFile)
}

func (v *validator) etcd(e Etcd) {
	v.must(len(e.Endpoints) > 0, "etcd.endpoints", "is empty; name at least one, as host:port")
	for i, s := range e.Endpoints {
		host := strings.TrimPrefix(strings.TrimPrefix(s, "http://"), "https://")
		v.address(fmt.Sprintf("etcd.endpoints[%d]", i), strings.TrimSuffix(host, "/"))
	}
	v.must(e.Prefix != "", "etcd.prefix", "is empty; without one, keys of others are at risk")
	v.must(e.Username != "" || e.PasswordFile == "", "etcd.username", "is empty, but a password is set")
	v.tls("etcd.tls", e.TLS)
	v.readable("etcd.password_file", e.PasswordFile)
}

func (v *validator) node(n Node) {
	v.must(n.Concurrency >= 1, "node.concurrency", "is %d; at least 1", n.Concurrency)
	v.positive("node.drain", n.Drain)
	v.must(n.LeaseTTL >= 2*time.Second && n.LeaseTTL%time.Second == 0, "node.lease_ttl", "is %v; whole seconds, at least 2s", n.LeaseTTL)
	v.must(n.MaxInflight >= n.Concurrency, "node.max_inflight", "is %d; at least node.concurrency, which is %d", n.MaxInflight, n.Concurrency)
	v.breaker("node.breaker", n.Breaker, false)
	if n.HTTP != "" {
		v.listen("node.http", n.HTTP)
	}
}

func (v *validator) queues(queues map[string]Queue, n Node) {
	v.must(len(queues) > 0, "queues", "is empty; name at least one queue, or leave the section out for the queue \"tasks\"")
	similar := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		key, q := "queues."+name, queues[name]
		if err := names.ValidQueue(name); err != nil {
			v.must(false, key, "%v", err)
		}
		other, taken := similar[strings.ReplaceAll(name, ".", "_")]
		v.must(!taken, key, "is the same as %q to Kafka, which keeps '.' and '_' apart in no metric; rename one", other)
		similar[strings.ReplaceAll(name, ".", "_")] = name

		v.must(q.Weight >= 1, key+".weight", "is %d; at least 1 (to stop a queue, pause it)", q.Weight)
		v.must(q.Partitions >= 1 && q.Partitions <= 100_000, key+".partitions", "is %d; use 1 to 100000", q.Partitions)
		v.positive(key+".window", q.Window)
		v.positive(key+".id_window", q.IDWindow)
		v.must(q.Retry.MaxAttempts >= 1, key+".retry.max_attempts", "is %d; at least 1", q.Retry.MaxAttempts)
		v.positive(key+".retry.base", q.Retry.Base)
		v.must(q.Retry.Max >= q.Retry.Base, key+".retry.max", "is %v; at least retry.base, which is %v", q.Retry.Max, q.Retry.Base)
		v.must(q.Timeout >= time.Millisecond, key+".timeout", "is %v; at least 1ms", q.Timeout)
		v.positive(key+".horizon", q.Horizon)
		v.must(q.MaxBytes >= KiB && q.MaxBytes <= GiB, key+".max_bytes", "is %v; use 1KiB to 1GiB", q.MaxBytes)
		v.must(q.MaxBytes <= n.MaxInflightBytes, "node.max_inflight_bytes", "is %v; at least %s.max_bytes, which is %v",
			n.MaxInflightBytes, key, q.MaxBytes)
		v.positive(key+".history", q.History)
		for i, group := range q.KeepFor {
			v.must(strings.TrimSpace(group) != "", fmt.Sprintf("%s.keep_for[%d]", key, i), "is empty; name a consumer group, or leave keep_for out for none")
		}
	}
}

func (v *validator) handler(key, name string, t Type) {
	v.must(name != "", key, "a type needs a name")
	v.must(t.HTTP == nil || t.Exec == nil, key, "has two handlers, http and exec; choose one")
	v.must(t != Type{}, key, "says nothing; give it a handler, http or exec, or a setting for the handler of a Go program")
	if t.HTTP != nil {
		u, err := url.Parse(t.HTTP.URL)
		v.must(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "", key+".http.url",
			"is no address of a service; write one like http://127.0.0.1:9000/path") // not shown: it may hold a password
		v.must(t.HTTP.Timeout >= 0, key+".http.timeout", "is %v; use 0 for none, or more", t.HTTP.Timeout)
	}
	if t.Exec != nil {
		v.must(len(t.Exec.Command) > 0 && t.Exec.Command[0] != "", key+".exec.command", "is empty; name the program and its arguments")
		v.must(t.Exec.Grace >= 0, key+".exec.grace", "is %v; use 0 for 3s, or more", t.Exec.Grace)
	}
	v.must(t.Timeout == 0 || t.Timeout >= time.Millisecond, key+".timeout", "is %v; at least 1ms, or 0 for the queue's", t.Timeout)
	if t.Breaker != nil {
		v.breaker(key+".breaker", *t.Breaker, true)
	}
	v.must(t.Limit >= 0, key+".limit", "is %d; use 0 for none, or more", t.Limit)
	v.must(t.Retry.MaxAttempts >= 0, key+".retry.max_attempts", "is %d; at least 1, or 0 for the queue's", t.Retry.MaxAttempts)
	v.must(t.Retry.Base >= 0, key+".retry.base", "is %v; use 0 for the queue's, or more", t.Retry.Base)
	v.must(t.Retry.Max >= 0, key+".retry.max", "is %v; use 0 for the queue's, or more", t.Retry.Max)
	v.must(t.Retry.Max == 0 || t.Retry.Max >= t.Retry.Base, key+".retry.max", "is %v; at least retry.base, which is %v", t.Retry.Max, t.Retry.Base)
}

func (v *validator) positive(key string, d time.Duration) {
	v.must(d > 0, key, "is %v; it must be longer than 0", d)
}

func (v *validator) addresses(key string, list []string) {
	v.must(len(list) > 0, key, "is empty; name at least one, as host:port")
	for i, s := range list {
		v.address(fmt.Sprintf("%s[%d]", key, i), s)
	}
}

func (v *validator) address(key, s string) {
	host, port, err := net.SplitHostPort(s)
	v.must(err == nil && host != "" && !strings.ContainsAny(host, "/ \t") && isPort(port, 1), key, "is %q; write host:port", s)
}

func (v *validator) listen(key, s string) {
	_, port, err := net.SplitHostPort(s)
	v.must(err == nil && isPort(port, 0), key, "is %q; write host:port or :port, or \"\" for none", s)
}

func isPort(s string, least int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= least && n <= 65535
}

func (v *validator) tls(key string, t TLS) {
	v.must(t.Enabled || t == TLS{}, key+".enabled", "is false, but certificates are set")
	v.must((t.Cert == "") == (t.Key == ""), key, "needs both cert and key, or neither")
	v.readable(key+".ca", t.CA)
	v.readable(key+".cert", t.Cert)
	v.readable(key+".key", t.Key)
}

func (v *validator) readable(key, path string) {
	if path == "" {
		return
	}
	if _, err := os.ReadFile(path); err != nil {
		v.must(false, key, "can't read %s: %v", path, cause(err))
	}
}
