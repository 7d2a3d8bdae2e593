package tasktier

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/retry"
)

// statsCollector turns the consumer's statistics into metrics when they are asked for, so that the way of a record costs
// nothing more.
type statsCollector struct{ node *Node }

var statsMetrics = []statsMetric{
	gauge("partitions", "Partitions of the queue that are assigned to this node.", func(s consumer.Stats) float64 { return float64(s.Partitions) }),
	gauge("inflight_records", "Records held in memory.", func(s consumer.Stats) float64 { return float64(s.InflightRecords) }),
	gauge("inflight_bytes", "Size of the records held in memory.", func(s consumer.Stats) float64 { return float64(s.InflightBytes) }),
	gauge("ready", "Tasks that wait for a slot.", func(s consumer.Stats) float64 { return float64(s.Ready) }),
	gauge("slots_in_use", "Slots that run tasks of the queue.", func(s consumer.Stats) float64 { return float64(s.Running) }),
	counter("polled_total", "Records read.", func(s consumer.Stats) float64 { return float64(s.Polled) }),
	counter("started_total", "Attempts started.", func(s consumer.Stats) float64 { return float64(s.Started) }),
	counter("succeeded_total", "Tasks that succeeded.", func(s consumer.Stats) float64 { return float64(s.Succeeded) }),
	counter("dead_total", "Tasks that went to the dead-letter topic.", func(s consumer.Stats) float64 { return float64(s.Dead) }),
	counter("retried_total", "Attempts that failed and are to be tried again.", func(s consumer.Stats) float64 { return float64(s.Retried) }),
	counter("snoozed_total", "Attempts that were put off.", func(s consumer.Stats) float64 { return float64(s.Snoozed) }),
	counter("dropped_total", "Deliveries given up without an outcome; they are delivered again.", func(s consumer.Stats) float64 { return float64(s.Dropped) }),
}

// A statsMetric is one metric and where it is read from.
type statsMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(consumer.Stats) float64
}

func gauge(name, help string, of func(consumer.Stats) float64) statsMetric {
	return statsMetric{prometheus.NewDesc("tasktier_consumer_"+name, help, []string{"queue"}, nil), prometheus.GaugeValue, of}
}

func counter(name, help string, of func(consumer.Stats) float64) statsMetric {
	return statsMetric{prometheus.NewDesc("tasktier_consumer_"+name, help, []string{"queue"}, nil), prometheus.CounterValue, of}
}

var forwarderMetrics = []struct {
	desc *prometheus.Desc
	of   func(retry.Stats) uint64
}{
	{prometheus.NewDesc("tasktier_retry_forwarded_total", "Tasks brought back to their queue.", nil, nil), func(s retry.Stats) uint64 { return s.Forwarded }},
	{prometheus.NewDesc("tasktier_retry_routed_total", "Tasks handed on within the retry tiers.", nil, nil), func(s retry.Stats) uint64 { return s.Routed }},
	{prometheus.NewDesc("tasktier_retry_dead_total", "Records of the retry tiers that could not be obeyed.", nil, nil), func(s retry.Stats) uint64 { return s.Dead }},
	{prometheus.NewDesc("tasktier_retry_reread_total", "Records dropped for want of memory and read again later.", nil, nil), func(s retry.Stats) uint64 { return s.Reread }},
}

func (c statsCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range statsMetrics {
		ch <- m.desc
	}
	for _, m := range forwarderMetrics {
		ch <- m.desc
	}
}

func (c statsCollector) Collect(ch chan<- prometheus.Metric) {
	running, forwarder := c.node.running()
	if running == nil {
		return
	}
	for _, m := range forwarderMetrics {
		ch <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.of(forwarder.Stats())))
	}
	for _, s := range running.Stats() {
		for _, m := range statsMetrics {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(s), s.Queue)
		}
	}
}
