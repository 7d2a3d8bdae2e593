package deadletter

import (
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// A Config says where letters lie.
type Config struct {
	// Kafka are the options of the client: seed brokers, TLS, SASL. Required.
	Kafka []kgo.Opt
	// Prefix of the installation, as its nodes have it. "": "tasktier".
	Prefix string
	// MaxBytes bounds a record that is produced: the max.message.bytes of the largest queue. 0: 1 MiB.
	MaxBytes int
	// Claims are the nodes' claims, which [Store.Replay] asks. Nil: the installation has none. They stay their owner's.
	Claims *claim.Store
	// Log takes what an operator should know. Nil: nothing is logged.
	Log *zap.Logger
}

// ErrNoTopic is wrapped by errors that say that a queue has no dead-letter topic, or had none when it was needed.
var ErrNoTopic = errors.New("there is no such topic")

// sendTimeout bounds how long a record is tried to be produced. What fails then may have been written: commands are
// run again.
const sendTimeout = 30 * time.Second

// A Store reads the letters of an installation's queues and does with them what an operator wants. It is safe for
// concurrent use. Close it at the end.
type Store struct {
	cfg    Config
	client *kgo.Client
}

// Open returns a store. It asks no server yet: what can't be reached is said by what needs it.
func Open(cfg Config) (*Store, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = "tasktier"
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 1 << 20
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.MaxBytes < 1<<10 || cfg.MaxBytes > 1<<30 {
		return nil, fmt.Errorf("open dead letters: MaxBytes is %d, must be from 1 KiB to 1 GiB", cfg.MaxBytes)
	}
	client, err := kgo.NewClient(append(append([]kgo.Opt{}, cfg.Kafka...),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(int32(cfg.MaxBytes)),
		kgo.ProducerLinger(2*time.Millisecond),
		kgo.RecordDeliveryTimeout(sendTimeout),
		kgo.RecordPartitioner(tier.Homing(cfg.Prefix)), // a tombstone goes where its letter lies
	)...)
	if err != nil {
		return nil, fmt.Errorf("open dead letters: %w", err)
	}
	return &Store{cfg: cfg, client: client}, nil
}

// Close ends the store's connections. What is running on it fails.
func (s *Store) Close() { s.client.Close() }
