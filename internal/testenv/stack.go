package testenv

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// Stack is one server of each kind, for use outside of tests.
type Stack struct {
	Kafka *KafkaBroker
	Redis *RedisServer
	Etcd  *EtcdServer

	dir     string
	cluster *KafkaCluster
}

// Install fetches and builds what the servers need. Without it the first use
// of each does.
func Install() error {
	_, kafka := installKafka()
	_, redis := tool("redis-server")
	_, etcd := installEtcd()
	return errors.Join(kafka, redis, etcd)
}

// Up starts a stack in a temporary folder. The caller closes it.
func Up() (*Stack, error) {
	if err := Install(); err != nil {
		return nil, err
	}
	home, err := installKafka()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tasktier-testenv-")
	if err != nil {
		return nil, fmt.Errorf("make temporary folder: %w", err)
	}
	s := &Stack{dir: dir}
	if err := s.start(home); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stack) start(home kafkaHome) error {
	var err error
	if s.cluster, err = newKafkaCluster(home, s.dir, 1, kafkaConfig{}); err != nil {
		return err
	}
	s.Kafka = s.cluster.Brokers[0]
	if s.Redis, err = newRedis(s.dir, nil); err != nil {
		return err
	}
	if s.Etcd, err = newEtcd(s.dir, nil); err != nil {
		return err
	}
	errs := make([]error, 3)
	var wg sync.WaitGroup
	for i, start := range []func() error{s.cluster.Start, s.Redis.Start, s.Etcd.Start} {
		wg.Go(func() { errs[i] = start() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Environment returns the variables that tell the tests of a process to share the servers of the stack.
func (s *Stack) Environment() []string {
	return []string{
		kafkaVariable + "=" + s.Kafka.Addr(), redisVariable + "=" + s.Redis.Addr(), etcdVariable + "=" + s.Etcd.Endpoint(),
	}
}

// Close stops the servers and removes their data.
func (s *Stack) Close() error {
	var errs []error
	if s.cluster != nil {
		errs = append(errs, s.cluster.Close())
	}
	if s.Redis != nil {
		errs = append(errs, s.Redis.close())
	}
	if s.Etcd != nil {
		errs = append(errs, s.Etcd.close())
	}
	errs = append(errs, os.RemoveAll(s.dir))
	return errors.Join(errs...)
}
