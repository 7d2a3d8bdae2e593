package tasktier

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/tasktier/tasktier/coord/limit"
	"github.com/tasktier/tasktier/internal/upkeep"
)

// clusterCollector turns the node's part in the cluster into metrics when they are asked for: the slots of limited types,
// and what the leaders of its queues' upkeep know.
type clusterCollector struct{ node *Node }

var limitMetrics = []struct {
	desc *prometheus.Desc
	of   func(limit.Stats) float64
}{
	{prometheus.NewDesc("tasktier_limit_slots", "Slots of the type in the whole cluster.", []string{"type"}, nil), func(s limit.Stats) float64 { return float64(s.N) }},
	{prometheus.NewDesc("tasktier_limit_held", "Slots of the type that this node has.", []string{"type"}, nil), func(s limit.Stats) float64 { return float64(s.Held) }},
	{prometheus.NewDesc("tasktier_limit_used", "Those of them in which a task is at work.", []string{"type"}, nil), func(s limit.Stats) float64 { return float64(s.InUse) }},
}

var upkeepMetrics = []struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(upkeep.Stats) float64
}{
	{prometheus.NewDesc("tasktier_queue_lag", "Records of the queue that are not finished, or not known to be; by the node that leads in its upkeep.", []string{"queue"}, nil), prometheus.GaugeValue, func(s upkeep.Stats) float64 { return float64(s.Lag) }},
	{prometheus.NewDesc("tasktier_queue_mirrored_timestamp_seconds", "When the mirror of the queue's offsets was last right; by that node.", []string{"queue"}, nil), prometheus.GaugeValue, func(s upkeep.Stats) float64 { return float64(s.Mirrored.Unix()) }},
	{prometheus.NewDesc("tasktier_queue_trimmed_total", "Finished records that this node has trimmed.", []string{"queue"}, nil), prometheus.CounterValue, func(s upkeep.Stats) float64 { return float64(s.Trimmed) }},
}

func (c clusterCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range limitMetrics {
		ch <- m.desc
	}
	for _, m := range upkeepMetrics {
		ch <- m.desc
	}
}

func (c clusterCollector) Collect(ch chan<- prometheus.Metric) {
	c.node.mu.Lock()
	keeping, members := c.node.keeping, c.node.members
	c.node.mu.Unlock()
	if members != nil {
		for typ, s := range members.limits.Stats() {
			for _, m := range limitMetrics {
				ch <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.of(s), typ)
			}
		}
	}
	if keeping == nil {
		return
	}
	for queue, d := range keeping.duties {
		s := d.Stats()
		if queue == upkeep.Tiers {
			queue = "(retry tiers)"
		}
		for _, m := range upkeepMetrics {
			if s.Leading && !s.Read.IsZero() || m.kind == prometheus.CounterValue {
				ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(s), queue)
			}
		}
	}
}
