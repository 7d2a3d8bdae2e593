package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.uber.org/zap"
)

// Config says where the servers listen and keep their data. The zero value is a
// stack on free ports of 127.0.0.1 that keeps nothing.
type Config struct {
	// DataDir is made if it is missing. Empty: nothing is kept.
	DataDir string
	// Kafka, Etcd and Redis are the addresses to listen on, host:port. Empty
	// or port 0: a free port of 127.0.0.1 or of the host. Kafka tells clients
	// its address, so that must be one they can reach, not 0.0.0.0.
	Kafka, Etcd, Redis string
	// Log gets the servers' errors. Nil: nobody does.
	Log *zap.Logger
}

// Stack is the three running servers.
type Stack struct {
	kafka *kafkaServer
	etcd  *etcdServer
	redis *redisServer

	lock      *fileutil.LockedFile // nil without a data folder
	temporary string               // folder to remove at Close, or empty

	closing  sync.Once
	closeErr error
}

// Start starts the servers, together, and returns when all answer. The caller
// closes the stack. ctx bounds the start alone.
//
// Errors: [ErrFolderInUse] when another process uses the data folder; one that
// is syscall.EADDRINUSE when an address is taken.
func Start(ctx context.Context, config Config) (*Stack, error) {
	if config.Log == nil {
		config.Log = zap.NewNop()
	}
	s := &Stack{}
	if err := s.start(ctx, config); err != nil {
		return nil, fmt.Errorf("start embedded stack: %w", errors.Join(err, s.Close()))
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context, config Config) error {
	var kafkaDir, redisFile string
	dir := config.DataDir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "tasktier-embedded-"); err != nil {
			return fmt.Errorf("make temporary folder: %w", err)
		}
		s.temporary = dir
	} else {
		var err error
		if s.lock, err = lockFolder(dir); err != nil {
			return err
		}
		kafkaDir, redisFile = filepath.Join(dir, "kafka"), filepath.Join(dir, "redis.snapshot")
	}

	starts := []func() error{
		func() (err error) {
			s.kafka, err = startKafka(config.Kafka, kafkaDir, config.Log.Named("kafka"))
			return err
		},
		func() (err error) {
			s.etcd, err = startEtcd(ctx, config.Etcd, filepath.Join(dir, "etcd"), s.temporary != "", config.Log.Named("etcd"))
			return err
		},
		func() (err error) {
			s.redis, err = startRedis(config.Redis, redisFile, config.Log.Named("redis"))
			return err
		},
	}
	errs := make([]error, len(starts))
	var group sync.WaitGroup
	for i, start := range starts {
		group.Go(func() { errs[i] = start() })
	}
	group.Wait()
	return errors.Join(errs...)
}

// KafkaAddrs is the addresses of the Kafka broker, to give to a client.
func (s *Stack) KafkaAddrs() []string { return []string{s.kafka.addr} }

// EtcdEndpoints is the client addresses of etcd, host:port.
func (s *Stack) EtcdEndpoints() []string { return []string{s.etcd.addr} }

// RedisAddr is the address of Redis.
func (s *Stack) RedisAddr() string { return s.redis.addr }

// Close stops the servers, saves what the data folder keeps, and removes what
// was temporary. Clients that are still connected are cut off. Further calls
// return what the first did.
func (s *Stack) Close() error {
	s.closing.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Stack) close() error {
	var kafkaErr, redisErr error
	var group sync.WaitGroup
	if s.kafka != nil {
		group.Go(func() { kafkaErr = s.kafka.close() })
	}
	if s.etcd != nil {
		group.Go(s.etcd.close)
	}
	if s.redis != nil {
		group.Go(func() { redisErr = s.redis.close() })
	}
	group.Wait()
	errs := []error{kafkaErr, redisErr}
	if s.temporary != "" {
		errs = append(errs, os.RemoveAll(s.temporary))
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
