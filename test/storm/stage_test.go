package storm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/embedded"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/test/nemesis"
)

// leaseTTL is the nodes'. Kafka's brokers take no shorter one for their groups, by default.
const leaseTTL = 6 * time.Second

// A stage is the servers of a round.
type stage struct {
	kind    string
	servers servers   // as they are
	ways    []servers // as each node comes to them
	faults  []nemesis.Fault
	routes  []*nemesis.Route
}

// Servers are addresses.
type servers struct {
	kafka, redis, etcd []string
	cluster            bool // Redis is one
}

// The kinds of stages.
const (
	single      = "single"
	clustered   = "cluster"
	inOneFolder = "embedded"
)

func newStage(t *testing.T, kind string, nodes int) *stage {
	t.Helper()
	s := &stage{kind: kind}
	switch kind {
	case single:
		s.startSingle(t, nodes)
	case clustered:
		s.startCluster(t, nodes)
	case inOneFolder:
		s.startEmbedded(t, nodes)
	default:
		t.Fatalf("%q is no stage", kind)
	}
	t.Cleanup(func() {
		for _, r := range s.routes {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

// kafkaRoutes lays a way to Kafka for each node. The brokers have to be started with the options.
func (s *stage) kafkaRoutes(nodes int) (routes []*nemesis.Route, options []testenv.KafkaOption) {
	for i := range nodes {
		r, option := nemesis.KafkaRoute(nodeName(i) + " to kafka")
		routes, options = append(routes, r), append(options, option)
	}
	s.routes = append(s.routes, routes...)
	return routes, options
}

// route lays a way for a node to servers that are there.
func (s *stage) route(t *testing.T, node int, to nemesis.Class, addrs []string) []string {
	t.Helper()
	r, err := nemesis.NewRoute(fmt.Sprintf("%s to %s", nodeName(node), to), to, addrs...)
	must(t, err)
	s.routes = append(s.routes, r)
	return r.Addrs()
}

func (s *stage) startSingle(t *testing.T, nodes int) {
	t.Helper()
	kafkaRoutes, options := s.kafkaRoutes(nodes)
	kafka, redis, etcd := testenv.StartKafka(t, options...), testenv.StartRedis(t), testenv.StartEtcd(t)
	s.servers = servers{kafka: kafka.Addrs(), redis: []string{redis.Addr()}, etcd: etcd.Endpoints()}
	for i := range nodes {
		s.ways = append(s.ways, servers{
			kafka: kafkaRoutes[i].Addrs(),
			redis: s.route(t, i, nemesis.Redis, s.servers.redis),
			etcd:  s.route(t, i, nemesis.Etcd, s.servers.etcd),
		})
	}
	s.faults = singleFaults(kafka, redis, etcd)
}

func (s *stage) startCluster(t *testing.T, nodes int) {
	t.Helper()
	kafkaRoutes, options := s.kafkaRoutes(nodes)
	kafka, redis, etcd := testenv.StartKafkaCluster(t, 3, options...), testenv.StartRedisCluster(t, 1), testenv.StartEtcdCluster(t, 3)
	s.servers = servers{kafka: kafka.Addrs(), redis: redis.Addrs(), etcd: etcd.Endpoints(), cluster: true}
	for i := range nodes {
		s.ways = append(s.ways, servers{
			kafka: kafkaRoutes[i].Addrs(), redis: s.servers.redis, cluster: true,
			etcd: s.route(t, i, nemesis.Etcd, s.servers.etcd),
		})
	}
	s.faults = clusterFaults(kafka, redis, etcd)
}

func (s *stage) startEmbedded(t *testing.T, nodes int) {
	t.Helper()
	stack, err := embedded.Start(t.Context(), embedded.Config{})
	must(t, err)
	t.Cleanup(func() {
		if err := stack.Close(); err != nil {
			t.Error(err)
		}
	})
	s.servers = servers{kafka: stack.KafkaAddrs(), redis: []string{stack.RedisAddr()}, etcd: stack.EtcdEndpoints()}
	for range nodes {
		s.ways = append(s.ways, s.servers)
	}
}

func nodeName(i int) string { return fmt.Sprintf("node-%d", i+1) }

// write writes the configuration of who comes to the servers this way, and returns its file. Breakers are off: attempts that
// they spare cost none, which the checker can't tell from failures that were not counted.
func (s servers) write(dir, name string) (string, error) {
	path := filepath.Join(dir, name+".yaml")
	list := func(addrs []string) string { return strings.Join(addrs, ", ") }
	text := fmt.Sprintf(`kafka: {brokers: [%s]}
redis: {addresses: [%s], cluster: %t, when_away: wait}
etcd: {endpoints: [%s]}
node: {http: "", drain: 8s, concurrency: 40, lease_ttl: %s, breaker: {enabled: false}}
queues:
  %s: {partitions: 12, weight: 2, retry: {base: 200ms, max: 3s}}
  %s: {partitions: 6, ordered: true, retry: {base: 100ms, max: 1s}}
types:
  %s: {limit: %d}
  %s: {limit: %d}
schedules:
  %s: {cron: %q, type: %s, queue: %s, missed: all, data: %s}
`, list(s.kafka), list(s.redis), s.cluster, list(s.etcd), leaseTTL,
		plainQueue, orderedQueue,
		lockedType, limits[lockedType], scarceType, limits[scarceType],
		tickName, tickCron, tickType, plainQueue, tickData)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", errors.Join(err, fmt.Errorf("write configuration of %s", name))
	}
	return path, nil
}
