package tasktier

import (
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/internal/topic"
)

// Topics says which topics an installation needs and how they must be.
func Topics(cfg config.Config) []topic.Spec {
	var queues []topic.Queue
	maxBytes := 0
	for name, q := range cfg.Queues {
		maxBytes = max(maxBytes, int(q.MaxBytes))
		queues = append(queues, topic.Queue{Name: name, Partitions: int32(q.Partitions), MaxBytes: int(q.MaxBytes), Ordered: q.Ordered, Replication: int16(cfg.Kafka.Replication)})
	}
	return append(topic.Specs(cfg.Kafka.Prefix, queues), topic.Tiers(cfg.Kafka.Prefix, maxBytes, int16(cfg.Kafka.Replication))...)
}
