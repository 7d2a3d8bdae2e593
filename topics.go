package tasktier

import (
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/internal/topic"
)

// Topics says which topics an installation needs and how they must be.
func Topics(cfg config.Config) []topic.Spec {
	var queues []topic.Queue
	for name, q := range cfg.Queues {
		queues = append(queues, topic.Queue{Name: name, Partitions: int32(q.Partitions), MaxBytes: int(q.MaxBytes), Ordered: q.Ordered, Replication: int16(cfg.Kafka.Replication)})
	}
	return topic.Specs(cfg.Kafka.Prefix, queues)
}
