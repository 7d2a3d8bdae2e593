package retry

import (
	"errors"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// Config says how a forwarder works. Zero values mean the default that stands with the field.
type Config struct {
	// Kafka says how to reach the cluster. Required.
	Kafka []kgo.Opt
	// Prefix names the tiers and the group. Default "tasktier".
	Prefix string
	// Fallback is the queue whose dead letters take records that name no queue. Required.
	Fallback string
	// Node is this process's name in dead letters.
	Node string
	// MaxBytes bounds the records that wait in memory. Default 64 MiB.
	MaxBytes int64
	// MaxMessageBytes is the largest record that is written. Default 1 MiB + 64 KiB.
	MaxMessageBytes int
	// SessionTimeout is how long Kafka waits for a sign of life. Default 10 s.
	SessionTimeout time.Duration
	// Log receives what an operator acts on. Default: nothing.
	Log *zap.Logger
}

// withDefaults fills in defaults and refuses what can't be.
func (cfg Config) withDefaults() (Config, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = "tasktier"
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 64 << 20
	}
	if cfg.MaxMessageBytes == 0 {
		cfg.MaxMessageBytes = 1<<20 + 64<<10
	}
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout = 10 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if len(cfg.Kafka) == 0 || cfg.Fallback == "" {
		return cfg, errors.New("configure forwarder: no Kafka brokers, or no queue for letters")
	}
	return cfg, nil
}

// OutOptions are those of a client that writes to tiers, queues and dead letters. Its owner bounds its buffer.
func OutOptions(kafka []kgo.Opt, prefix string, maxMessageBytes int) []kgo.Opt {
	return append(append([]kgo.Opt{}, kafka...),
		kgo.ProducerLinger(0),
		// As much as the topics take: queues have no room for what letters and tiers add. A queue that takes less refuses a
		// batch, and gets its records one by one.
		kgo.ProducerBatchMaxBytesFn(func(name string) int32 {
			if names.IsPending(name) {
				return int32(min(max(maxMessageBytes-topic.LetterRoom, 1<<10), 1<<30))
			}
			return int32(min(maxMessageBytes, 1<<30))
		}),
		// What could not be written in time is routed anew: its slot may have closed.
		kgo.RecordDeliveryTimeout(tier.SendTimeout),
		kgo.RecordPartitioner(tier.Homing(prefix)),
	)
}
