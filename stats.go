package tasktier

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/tasktier/tasktier/consumer"
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

func (c statsCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range statsMetrics {
		ch <- m.desc
	}
}

func (c statsCollector) Collect(ch chan<- prometheus.Metric) {
	running := c.node.running()
	if running == nil {
		return
	}
	for _, s := range running.Stats() {
		for _, m := range statsMetrics {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(s), s.Queue)
		}
	}
}
