package tasktier

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/tasktier/tasktier/claim"
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
	counter("canceled_total", "Tasks that ended canceled.", func(s consumer.Stats) float64 { return float64(s.Canceled) }),
	counter("retried_total", "Attempts that failed and are to be tried again.", func(s consumer.Stats) float64 { return float64(s.Retried) }),
	counter("snoozed_total", "Attempts that were put off.", func(s consumer.Stats) float64 { return float64(s.Snoozed) }),
	counter("repeated_total", "Deliveries of tasks that were done already.", func(s consumer.Stats) float64 { return float64(s.Repeated) }),
	counter("lost_total", "Outcomes discarded because another node had the task.", func(s consumer.Stats) float64 { return float64(s.Lost) }),
	counter("moved_total", "Tasks handed on by a copy because they held up others.", func(s consumer.Stats) float64 { return float64(s.Moved) }),
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

var breakerMetrics = []struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(consumer.BreakerStats) float64
}{
	{
		prometheus.NewDesc("tasktier_consumer_breaker_state", "Whether attempts of the type start on this node: 0 all, 1 some, 2 probes only.", []string{"type"}, nil),
		prometheus.GaugeValue, func(s consumer.BreakerStats) float64 { return float64(s.State) },
	},
	{
		prometheus.NewDesc("tasktier_consumer_breaker_openings_total", "Outages of the type that this node has seen.", []string{"type"}, nil),
		prometheus.CounterValue, func(s consumer.BreakerStats) float64 { return float64(s.Openings) },
	},
	{
		prometheus.NewDesc("tasktier_consumer_breaker_spared_total", "Attempts that were put off in outages of the type.", []string{"type"}, nil),
		prometheus.CounterValue, func(s consumer.BreakerStats) float64 { return float64(s.Spared) },
	},
}

var claimMetrics = []struct {
	desc *prometheus.Desc
	of   func(claim.Stats) uint64
}{
	{prometheus.NewDesc("tasktier_claim_calls_total", "Script calls to Redis, each for a batch.", nil, nil), func(s claim.Stats) uint64 { return s.Calls }},
	{prometheus.NewDesc("tasktier_claim_won_total", "Turns that were begun.", nil, nil), func(s claim.Stats) uint64 { return s.Run }},
	{prometheus.NewDesc("tasktier_claim_held_total", "Begins that found another at work.", nil, nil), func(s claim.Stats) uint64 { return s.Held }},
	{prometheus.NewDesc("tasktier_claim_stolen_total", "Tasks taken over from nodes that were gone.", nil, nil), func(s claim.Stats) uint64 { return s.Stolen }},
	{prometheus.NewDesc("tasktier_claim_poison_total", "Tasks that took their processes down too often.", nil, nil), func(s claim.Stats) uint64 { return s.Poison }},
}

func (c statsCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range statsMetrics {
		ch <- m.desc
	}
	for _, m := range forwarderMetrics {
		ch <- m.desc
	}
	for _, m := range claimMetrics {
		ch <- m.desc
	}
	for _, m := range breakerMetrics {
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
	if claims, ok := running.Claims(); ok {
		for _, m := range claimMetrics {
			ch <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.of(claims)))
		}
	}
	for _, s := range running.Breakers() {
		for _, m := range breakerMetrics {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(s), s.Type)
		}
	}
	for _, s := range running.Stats() {
		for _, m := range statsMetrics {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(s), s.Queue)
		}
	}
}
