package tier

import (
	"context"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Topic is the topic of a place where a task waits, in the installation prefix.
func (p Place) Topic(prefix string) string {
	if p.Hour {
		return names.RetryHour(prefix)
	}
	return names.RetryMinute(prefix)
}

// Partitioner lets a record of a tier keep the partition that it was given, and treats all others as kgo does by default.
func Partitioner(prefix string) kgo.Partitioner {
	return partitioner{prefix, kgo.StickyKeyPartitioner(nil)}
}

type partitioner struct {
	prefix string
	others kgo.Partitioner
}

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if topic == names.RetryMinute(p.prefix) || topic == names.RetryHour(p.prefix) {
		return kgo.ManualPartitioner().ForTopic(topic)
	}
	return p.others.ForTopic(topic)
}

// Homing is [Partitioner] for a client some of whose records have a [Home].
func Homing(prefix string) kgo.Partitioner {
	return partitioner{prefix, homing{kgo.StickyKeyPartitioner(nil)}}
}

// Home is the Context of a record that goes to a certain partition of its queue, whatever its key says. In a tier, and
// where the topic has no such partition, it counts for nothing.
func Home(partition int32) context.Context {
	return context.WithValue(context.Background(), homeKey{}, partition)
}

type homeKey struct{}

type homing struct{ kgo.Partitioner }

func (h homing) ForTopic(topic string) kgo.TopicPartitioner {
	return homingTopic{h.Partitioner.ForTopic(topic)}
}

type homingTopic struct{ kgo.TopicPartitioner }

// RequiresConsistency lets the partition be chosen among all, not only those that can be written now.
func (h homingTopic) RequiresConsistency(r *kgo.Record) bool {
	_, fixed := r.Context.Value(homeKey{}).(int32)
	return fixed || h.TopicPartitioner.RequiresConsistency(r)
}

func (h homingTopic) Partition(r *kgo.Record, n int) int {
	if p, fixed := r.Context.Value(homeKey{}).(int32); fixed && p >= 0 && int(p) < n {
		return int(p)
	}
	return h.TopicPartitioner.Partition(r, n)
}

// OnNewBatch lets records without a key go on to another partition, which kgo's partitioner does only when told.
func (h homingTopic) OnNewBatch() {
	if p, ok := h.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		p.OnNewBatch()
	}
}
