package tasktier

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/schedule"
	"go.uber.org/zap"
)

// noEtcdForSchedules is what is wrong with schedules that every node would run.
const noEtcdForSchedules = "need an etcd section: in etcd nodes agree which one of them sends each tick's task"

// Schedules are the configured schedules by the queue that their tasks go to, each queue's in the order of their names.
func Schedules(cfg config.Config) (map[string][]schedule.Entry, error) {
	queues := make(map[string][]schedule.Entry)
	for _, name := range slices.Sorted(maps.Keys(cfg.Schedules)) {
		s := cfg.Schedules[name]
		data, err := s.Payload()
		if err != nil {
			return nil, &config.Error{Problems: []config.Problem{{Key: "schedules." + name + ".data", Message: err.Error()}}}
		}
		queue := cfg.QueueOf(s)
		queues[queue] = append(queues[queue], schedule.Entry{
			Name: name, Cron: s.Cron, Zone: s.Zone, Type: s.Type, Data: data, Missed: schedule.Missed(s.Missed),
		})
	}
	return queues, nil
}

// A scheduling is the part that a node takes in running its schedules: in each queue's, it leads or waits to lead.
type scheduling struct {
	runners  map[string]*schedule.Runner // by queue
	producer *producer.Producer
	stop     context.CancelFunc
	leading  sync.WaitGroup
}

// schedule begins it; nil without schedules. It steps down when ctx ends, so as soon as the node drains.
func (n *Node) schedule(ctx context.Context, m *membership) (*scheduling, error) {
	queues, err := Schedules(n.cfg)
	if err != nil || len(queues) == 0 {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	s := &scheduling{runners: make(map[string]*schedule.Runner), stop: stop}
	if s.producer, err = producer.New(n.scheduleProducer()); err != nil {
		stop()
		return nil, err
	}
	for queue, entries := range queues {
		s.runners[queue], err = schedule.New(schedule.Config{
			Queue: queue, Entries: entries, Producer: s.producer, Etcd: m.etcd, Prefix: n.cfg.Etcd.Prefix, Log: n.log,
		})
		if err != nil {
			s.close()
			return nil, err
		}
	}
	for queue, r := range s.runners {
		s.leading.Go(func() {
			if err := m.coord.Lead(ctx, schedule.Duty(queue), r.Lead); err != nil {
				n.log.Error("schedules are not run", zap.String("queue", queue), zap.Error(err))
			}
		})
	}
	return s, nil
}

func (n *Node) scheduleProducer() producer.Config {
	largest := config.Bytes(0)
	for _, q := range n.cfg.Queues {
		largest = max(largest, q.MaxBytes)
	}
	return producer.Config{
		Brokers: n.cfg.Kafka.Brokers, Prefix: n.cfg.Kafka.Prefix, Source: schedule.Source, MaxBytes: int(largest), Options: n.kafka,
	}
}

// close waits until nothing is led any more.
func (s *scheduling) close() {
	if s == nil {
		return
	}
	s.stop()
	s.leading.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.producer.Close(ctx) // what is given up was not acknowledged, and is sent again by the next leader
}

// stats are those of each queue's schedules; none while the node doesn't run.
func (s *scheduling) stats() map[string]schedule.Stats {
	if s == nil {
		return nil
	}
	stats := make(map[string]schedule.Stats, len(s.runners))
	for queue, r := range s.runners {
		stats[queue] = r.Stats()
	}
	return stats
}

// scheduleCollector turns the statistics of schedules into metrics when they are asked for.
type scheduleCollector struct{ node *Node }

var scheduleMetrics = []struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(schedule.Stats) float64
}{
	{prometheus.NewDesc("tasktier_schedule_leader", "1 on the node that runs the queue's schedules, 0 on those that would take over.", []string{"queue"}, nil),
		prometheus.GaugeValue, func(s schedule.Stats) float64 {
			if s.Leading {
				return 1
			}
			return 0
		}},
	{prometheus.NewDesc("tasktier_schedule_sent_total", "Ticks whose task this node has sent.", []string{"queue"}, nil),
		prometheus.CounterValue, func(s schedule.Stats) float64 { return float64(s.Sent) }},
	{prometheus.NewDesc("tasktier_schedule_dropped_total", "Times that ticks were dropped because they were missed.", []string{"queue"}, nil),
		prometheus.CounterValue, func(s schedule.Stats) float64 { return float64(s.Dropped) }},
}

func (c scheduleCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range scheduleMetrics {
		ch <- m.desc
	}
}

func (c scheduleCollector) Collect(ch chan<- prometheus.Metric) {
	for queue, s := range c.node.scheduled().stats() {
		for _, m := range scheduleMetrics {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(s), queue)
		}
	}
}

// scheduled returns what runs the schedules, nil while nothing does.
func (n *Node) scheduled() *scheduling {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.schedules
}

func (n *Node) setSchedules(s *scheduling) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.schedules = s
}

// needsEtcd refuses schedules that every node would run for itself, and limits that each would keep by itself.
func needsEtcd(cfg config.Config) error {
	if cfg.Etcd != nil {
		return nil
	}
	var problems []config.Problem
	if len(cfg.Schedules) > 0 {
		problems = append(problems, config.Problem{Key: "schedules", Message: noEtcdForSchedules})
	}
	for _, typ := range slices.Sorted(maps.Keys(cfg.Types)) {
		if cfg.Types[typ].Limit > 0 {
			problems = append(problems, config.Problem{Key: "types." + typ + ".limit", Message: "needs an etcd section: in etcd nodes agree who may run the type"})
		}
	}
	if problems == nil {
		return nil
	}
	return &config.Error{Problems: problems}
}
