package producer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Defaults of [Config].
const (
	DefaultQueue       = "tasks"
	DefaultSource      = "/tasktier"
	DefaultMaxBytes    = 1 << 20
	DefaultBufferBytes = 64 << 20
)

// Config says where tasks go and what a [Producer] may use up. Only Brokers is required.
type Config struct {
	// Brokers are addresses to find the cluster by, as host:port.
	Brokers []string
	// Queue is where tasks go that name none. Empty: [DefaultQueue].
	Queue string
	// Prefix names the retry tiers of the installation, where delayed tasks wait; the nodes' kafka.prefix. Empty:
	// "tasktier".
	Prefix string
	// Source is the CloudEvents source of tasks that name none, a URI reference. Ids need to be unique within it, so
	// services should each have their own. Empty: [DefaultSource].
	Source string

	// MaxBytes bounds one task with its attributes as it is written, before compression. It must not exceed the
	// topics' max.message.bytes. 0: [DefaultMaxBytes], which is within the default of Kafka and of `tasktier topic
	// apply`. At least 1024.
	MaxBytes int
	// BufferBytes bounds the memory for tasks that are not acknowledged yet, approximately. Past it, sending waits for
	// room. 0: [DefaultBufferBytes].
	BufferBytes int
	// Linger is how long a task may wait for others to share its request. 0, the default: not at all. Batches then
	// form of what arrives while requests are under way, which serves both latency and throughput; up to 5ms can
	// spare the brokers requests when many producers each send little. At most a minute.
	Linger time.Duration

	// Trace returns the W3C trace context of ctx, for tasks that carry none: the place to connect OpenTelemetry.
	// Nil: none is added.
	Trace func(ctx context.Context) (traceParent, traceState string)

	// Acknowledged is called once for each task that all in-sync replicas have, before its sender is told: the place to
	// announce it elsewhere. t is a copy of the task with its source and queue filled in; neither it nor its payload may
	// be changed, nor used after the call. It must not block, as other tasks wait for it, nor call the producer; several
	// goroutines may call it at a time. Nil: nobody is told.
	Acknowledged func(r Receipt, t *task.Task)

	// Options are passed to the Kafka client, after the producer's own: TLS, SASL, logger, client id, compression.
	// Weakening acks or disabling idempotent writes breaks what Send promises.
	Options []kgo.Opt
}

// withDefaults checks the config and fills in what was left out.
func (c Config) withDefaults() (Config, error) {
	if len(c.Brokers) == 0 {
		return c, errors.New("no brokers: Config.Brokers must name at least one host:port")
	}
	if c.Queue == "" {
		c.Queue = DefaultQueue
	}
	if err := names.ValidQueue(c.Queue); err != nil {
		return c, err
	}
	if c.Prefix == "" {
		c.Prefix = "tasktier"
	}
	if c.Source == "" {
		c.Source = DefaultSource
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = DefaultBufferBytes
	}
	if c.MaxBytes < 1024 || c.MaxBytes > 100<<20 {
		return c, fmt.Errorf("MaxBytes is %d, must be from 1024 to 100 MiB", c.MaxBytes)
	}
	if c.BufferBytes < 0 || c.Linger < 0 || c.Linger > time.Minute {
		return c, fmt.Errorf("BufferBytes is %d and Linger %v: neither may be negative, nor Linger above a minute", c.BufferBytes, c.Linger)
	}
	return c, nil
}

// options are the Kafka client's.
func (c Config) options() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(int32(c.MaxBytes)),
		kgo.ProducerLinger(c.Linger),
		kgo.RecordPartitioner(tier.Partitioner(c.Prefix)),
		// How soon the cluster is asked again who leads a partition. The client's default of 5s would be the length of
		// a pause in publishing whenever a leader moves.
		kgo.MetadataMinAge(500 * time.Millisecond),
		// What is outstanding is bounded here, by bytes and under the caller's context; the client's bound by count
		// must not come in between: it could block the goroutine that makes room.
		kgo.MaxBufferedRecords(math.MaxInt32),
	}
	return append(opts, c.Options...)
}
