package inmemory

import (
	"context"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Kafka is a cluster of kfake that lives as long as a test.
type Kafka struct {
	*kfake.Cluster
	t    *testing.T
	dial bubble.Dialer
}

// NewKafka starts a cluster, which clients reach with dial. The options name its brokers and topics.
func NewKafka(t *testing.T, dial bubble.Dialer, opts ...kfake.Opt) *Kafka {
	t.Helper()
	cluster, err := kfake.NewCluster(append(opts, kfake.GroupMinSessionTimeout(time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return &Kafka{cluster, t, dial}
}

// Options are those of a client that reaches the cluster with dial. Metrics and compression are off: they cost time, and no
// test is about them.
func (k *Kafka) Options(dial bubble.Dialer) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(k.ListenAddrs()...), kgo.Dialer(dial), kgo.DisableClientMetrics(), kgo.ProducerBatchCompression(kgo.NoCompression()),
	}
}

// Client returns a client of the cluster that lives as long as the test.
func (k *Kafka) Client(opts ...kgo.Opt) *kgo.Client {
	k.t.Helper()
	cl, err := kgo.NewClient(append(k.Options(k.dial), opts...)...)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(cl.Close)
	return cl
}

// Records reads a topic to its end.
func (k *Kafka) Records(topic string) []*kgo.Record {
	k.t.Helper()
	want := int64(0)
	for _, p := range k.PartitionInfos(topic) {
		want += p.HighWatermark
	}
	cl := k.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	k.t.Cleanup(cancel)
	var records []*kgo.Record
	for int64(len(records)) < want {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			k.t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}
