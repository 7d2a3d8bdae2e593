package testenv

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// StartKafka starts a broker that belongs to the test, which may kill and
// restart it. It ends with the test.
func StartKafka(t testing.TB, options ...KafkaOption) *KafkaBroker {
	t.Helper()
	return StartKafkaCluster(t, 1, options...).Brokers[0]
}

// StartKafkaCluster starts n brokers that belong to the test and know each
// other. Three take about 1 GB of memory. A broker that dies is missed by the
// others after 3 s; one that returns after a Kill is let in again about as late.
func StartKafkaCluster(t testing.TB, n int, options ...KafkaOption) *KafkaCluster {
	t.Helper()
	needReal(t, "Kafka")
	home, err := installKafka()
	if err != nil {
		t.Fatal(err)
	}
	var config kafkaConfig
	for _, option := range options {
		option(&config)
	}
	dir := runDir(t, "kafka")
	cluster, err := newKafkaCluster(home, dir, n, config)
	if err != nil {
		t.Fatal(err)
	}
	own(t, cluster.Start, cluster.Close)
	return cluster
}

// StartRedis starts a redis-server that belongs to the test. settings are
// arguments of redis-server, such as "--maxmemory", "10mb".
func StartRedis(t testing.TB, settings ...string) *RedisServer {
	t.Helper()
	needReal(t, "Redis")
	redis, err := newRedis(runDir(t, "redis"), settings)
	if err != nil {
		t.Fatal(err)
	}
	own(t, redis.Start, redis.close)
	return redis
}

// StartRedisCluster starts a Redis Cluster of three masters that belongs to the
// test, with so many replicas of each. It takes about 2 s, for which a master
// waits before it serves, and 2 s more with replicas.
func StartRedisCluster(t testing.TB, replicas int) *RedisServers {
	t.Helper()
	needReal(t, "Redis")
	cluster, err := newRedisCluster(runDir(t, "redis"), replicas)
	if err != nil {
		t.Fatal(err)
	}
	own(t, cluster.start, cluster.close)
	return cluster
}

// StartEtcd starts an etcd that belongs to the test. settings are arguments of
// etcd, such as "--quota-backend-bytes", "1000000".
func StartEtcd(t testing.TB, settings ...string) *EtcdServer {
	t.Helper()
	needReal(t, "etcd")
	etcd, err := newEtcd(runDir(t, "etcd"), settings)
	if err != nil {
		t.Fatal(err)
	}
	own(t, etcd.Start, etcd.close)
	return etcd
}

// StartEtcdCluster starts n etcd members that belong to the test and know each
// other. With three, one may be missing.
func StartEtcdCluster(t testing.TB, n int) *EtcdCluster {
	t.Helper()
	needReal(t, "etcd")
	cluster, err := newEtcdCluster(runDir(t, "etcd"), n)
	if err != nil {
		t.Fatal(err)
	}
	own(t, cluster.start, cluster.close)
	return cluster
}

func own(t testing.TB, start, stop func() error) {
	t.Helper()
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	if err := start(); err != nil {
		t.Fatal(err)
	}
}

// runDir makes the folder of a test's server. It goes when the test has passed;
// when it has failed, the logs stay and the test says where.
func runDir(t testing.TB, server string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tasktier-"+server+"-")
	if err != nil {
		t.Fatalf("make temporary folder: %v", err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			if err := os.RemoveAll(dir); err != nil {
				t.Errorf("remove temporary folder: %v", err)
			}
			return
		}
		for _, log := range keepLogs(dir) {
			t.Logf("log of the test's %s: %s", server, log)
		}
	})
	return dir
}

// keepLogs removes the data folders of the servers in dir and returns the logs
// that stay.
func keepLogs(dir string) []string {
	var logs []string
	// What can't be read is left as it is: this only tidies up after a failure.
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // as said above
		case entry.IsDir() && entry.Name() == "data":
			_ = os.RemoveAll(path)
			return fs.SkipDir
		case filepath.Ext(path) == ".log":
			logs = append(logs, path)
		}
		return nil
	})
	return logs
}

// logPaths words the logs for a person.
func logPaths(logs []string) string {
	text := ""
	for _, log := range logs {
		text += fmt.Sprintf("\n  %s", log)
	}
	return text
}
