package tier

import (
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
