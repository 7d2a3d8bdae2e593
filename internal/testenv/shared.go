package testenv

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"go.uber.org/goleak"
)

// shared are the servers that the tests of one binary use together. It is a
// variable of the package because a test binary is one thing and has one end:
// Main.
var shared sharedServers

type sharedServers struct {
	mu      sync.Mutex
	inMain  bool
	dir     string
	started map[string]*sharedServer
}

// The variables in which [Stack.Environment] names servers that run already, with commas in between. Where one is set,
// [Kafka], [Redis] or [Etcd] returns its addresses and starts nothing, so that the packages of one run share their servers.
const (
	kafkaVariable = "TASKTIER_TEST_KAFKA"
	redisVariable = "TASKTIER_TEST_REDIS"
	etcdVariable  = "TASKTIER_TEST_ETCD"
)

type sharedServer struct {
	addrs []string
	err   error
	close func() error
}

// Main runs the tests of a package, stops the shared servers, checks with goleak
// that no goroutine is left, and exits. A package that uses shared servers has
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
//
// It takes the place of goleak.VerifyTestMain.
func Main(m *testing.M, options ...goleak.Option) {
	shared.enter()
	code := m.Run()
	if err := shared.stop(code != 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if code == 0 {
		if err := goleak.Find(options...); err != nil {
			fmt.Fprintf(os.Stderr, "goroutines left after the tests: %v\n", err)
			code = 1
		}
	}
	os.Exit(code)
}

// Kafka returns the address of the Kafka broker that all tests of the package
// share, perhaps with those of other packages.
func Kafka(t testing.TB) []string {
	t.Helper()
	return shared.get(t, "Kafka", kafkaVariable, func(dir string) ([]string, func() error, error) {
		home, err := installKafka()
		if err != nil {
			return nil, nil, err
		}
		cluster, err := newKafkaCluster(home, dir, 1, kafkaConfig{})
		if err != nil {
			return nil, nil, err
		}
		return cluster.Addrs(), cluster.Close, cluster.Start()
	})
}

// Redis returns the address of the Redis server that all tests of the package
// share, perhaps with those of other packages.
func Redis(t testing.TB) string {
	t.Helper()
	return shared.get(t, "Redis", redisVariable, func(dir string) ([]string, func() error, error) {
		redis, err := newRedis(dir, nil)
		if err != nil {
			return nil, nil, err
		}
		return []string{redis.Addr()}, redis.close, redis.Start()
	})[0]
}

// RedisCluster returns the addresses of the three masters of the Redis Cluster
// that all tests of the package share.
func RedisCluster(t testing.TB) []string {
	t.Helper()
	return shared.get(t, "Redis Cluster", "", func(dir string) ([]string, func() error, error) {
		cluster, err := newRedisCluster(dir, 0)
		if err != nil {
			return nil, nil, err
		}
		return cluster.Addrs(), cluster.close, cluster.start()
	})
}

// Etcd returns the client address of the etcd that all tests of the package
// share, perhaps with those of other packages.
func Etcd(t testing.TB) []string {
	t.Helper()
	return shared.get(t, "etcd", etcdVariable, func(dir string) ([]string, func() error, error) {
		etcd, err := newEtcd(dir, nil)
		if err != nil {
			return nil, nil, err
		}
		return etcd.Endpoints(), etcd.close, etcd.Start()
	})
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// Unique returns a name that no other test uses on a shared server: the test's
// own and a random end. It is fit for a topic, a group, a key prefix.
func Unique(t testing.TB) string {
	name := notInName.ReplaceAllString(t.Name(), "-")
	// Kafka allows 249 characters, and tests append to the name.
	return name[:min(len(name), 100)] + "-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
}

func (s *sharedServers) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inMain = true
	s.started = map[string]*sharedServer{}
}

// get returns the addresses in the variable, if it has one and it is set, and otherwise starts the server at the first call;
// a start that failed is not repeated for each test.
func (s *sharedServers) get(t testing.TB, name, variable string, start func(dir string) ([]string, func() error, error)) []string {
	t.Helper()
	needReal(t, name)
	if variable != "" && os.Getenv(variable) != "" {
		return strings.Split(os.Getenv(variable), ",")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.inMain {
		t.Fatalf("start shared %s: nobody would stop it; give the package func TestMain(m *testing.M) { testenv.Main(m) }", name)
	}
	server := s.started[name]
	if server == nil {
		server = &sharedServer{}
		s.started[name] = server
		if s.dir == "" {
			s.dir, server.err = os.MkdirTemp("", "tasktier-shared-")
		}
		if server.err == nil {
			server.addrs, server.close, server.err = start(s.dir)
		}
	}
	if server.err != nil {
		t.Fatalf("start shared %s: %v", name, server.err)
	}
	return server.addrs
}

func (s *sharedServers) stop(failed bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, server := range s.started {
		if server.close != nil {
			errs = append(errs, server.close())
		}
	}
	s.started, s.inMain = nil, false
	if s.dir == "" {
		return errors.Join(errs...)
	}
	if failed {
		if logs := keepLogs(s.dir); len(logs) > 0 {
			fmt.Fprintf(os.Stderr, "logs of the shared servers:%s\n", logPaths(logs))
		}
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}
