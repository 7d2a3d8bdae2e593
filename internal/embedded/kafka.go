package embedded

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/tasktier/tasktier/internal/throttle"
)

type kafkaServer struct {
	cluster  *kfake.Cluster
	sessions *sessions
	addr     string
	log      *kafkaLog
}

// startKafka starts one broker. dir is empty for one that keeps nothing.
func startKafka(addr, dir string, log *zap.Logger) (*kafkaServer, error) {
	resolved, err := resolve("kafka", addr)
	if err != nil {
		return nil, err
	}
	if resolved.IP == nil || resolved.IP.IsUnspecified() {
		return nil, fmt.Errorf("listen kafka %s: clients are told this address; give one that they can reach, such as 127.0.0.1:%d", addr, resolved.Port)
	}
	listener, err := listen("kafka", addr)
	if err != nil {
		return nil, err
	}
	k := &kafkaServer{addr: listener.Addr().String(), log: &kafkaLog{log: log}}
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("tasktier-embedded"),
		// kfake itself would listen on 127.0.0.1 alone.
		kfake.ListenFn(func(string, string) (net.Listener, error) { return listener, nil }),
		kfake.WithLogger(k.log),
	}
	if dir != "" {
		options = append(options, kfake.DataDir(dir))
	}
	if k.cluster, err = kfake.NewCluster(options...); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	if dir != "" {
		k.keepLastRecords()
	}
	if k.sessions, err = keepSessions(k.cluster, k.addr, log); err != nil {
		k.cluster.Close()
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	return k, nil
}

// keepLastRecords makes DeleteRecords stop before a partition's last record, so
// that no partition is empty on disk: see the package documentation.
func (k *kafkaServer) keepLastRecords() {
	k.cluster.ControlKey(int16(kmsg.DeleteRecords), func(request kmsg.Request) (kmsg.Response, error, bool) {
		k.cluster.KeepControl()
		for _, topic := range request.(*kmsg.DeleteRecordsRequest).Topics {
			for i := range topic.Partitions {
				asked := &topic.Partitions[i]
				partition := k.cluster.PartitionInfo(topic.Topic, asked.Partition)
				if partition == nil || partition.LogStartOffset == partition.HighWatermark {
					continue // kfake answers that
				}
				// -1 asks for all; more than all is an error, which kfake knows.
				if asked.Offset == -1 || asked.Offset == partition.HighWatermark {
					asked.Offset = partition.HighWatermark - 1
				}
			}
		}
		return nil, nil, false // kfake goes on with the request as it is now
	})
}

func (k *kafkaServer) close() error {
	k.sessions.close()
	k.log.closing.Store(true)
	k.cluster.Close()
	return k.log.saveError()
}

// kafkaLog passes on what kfake warns of. That its state could not be saved at
// Close kfake tells its log alone, and that the disk is full too: to clients it
// says that something unexpected has happened.
type kafkaLog struct {
	log     *zap.Logger
	closing atomic.Bool
	full    throttle.Throttle

	mu   sync.Mutex
	errs []error
}

func (l *kafkaLog) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		if l.closing.Load() {
			l.mu.Lock()
			l.errs = append(l.errs, fmt.Errorf("save kafka data: "+format, args...))
			l.mu.Unlock()
			return
		}
		l.log.Error(fmt.Sprintf(format, args...))
	case kfake.LogLevelWarn:
		if err := noRoom(args); err == nil {
			l.log.Warn(fmt.Sprintf(format, args...))
		} else if l.full.Allow() {
			l.log.Error("the data folder is full: Kafka takes no records and keeps no commits until there is room again", zap.Error(err))
		}
	}
}

// noRoom finds the error among the arguments of a message that says that the disk took no more.
func noRoom(args []any) error {
	for _, a := range args {
		if err, ok := a.(error); ok && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
			return err
		}
	}
	return nil
}

func (l *kafkaLog) saveError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.errs...)
}
