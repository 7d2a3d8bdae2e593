package tasktier

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/embedded"
	"github.com/tasktier/tasktier/schedule"
	"github.com/tasktier/tasktier/task"
	"go.uber.org/zap/zaptest"
)

// TestSchedulesWithoutRedis: a node with schedules joins etcd though it has no claims, runs them, and says so.
func TestSchedulesWithoutRedis(t *testing.T) {
	t.Parallel()
	s, err := embedded.Start(t.Context(), embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	cfg := config.Default()
	cfg.Kafka.Brokers, cfg.Etcd.Endpoints = s.KafkaAddrs(), s.EtcdEndpoints()
	cfg.Redis = nil
	cfg.Node.HTTP = free(t)
	cfg.Queues["other"] = config.DefaultQueue()
	cfg.Schedules = map[string]config.Schedule{
		"beat": {Cron: "@every 1s", Type: "tick", Data: map[string]any{"a": 1}},
		"idle": {Cron: "@yearly", Type: "tick", Queue: "other"},
	}
	mux := consumer.NewMux()
	ran := make(chan *task.Task, 100)
	if err := mux.Handle("tick", func(_ context.Context, t *task.Task) error { ran <- t; return nil }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg, mux, WithLogger(zaptest.NewLogger(t))) }()
	last := time.Time{}
	for range 2 {
		got := <-ran
		tick, err := time.Parse(time.RFC3339, strings.TrimPrefix(got.ID, "beat@"))
		if err != nil || !tick.After(last) || got.Source != schedule.Source || string(got.Payload) != `{"a":1}` || !got.Time.Equal(tick) {
			t.Errorf("%+v ran after the tick of %s: %v", got, last, err)
		}
		last = tick
	}
	_, metrics := get(t, cfg.Node.HTTP, "/metrics")
	for _, want := range []string{
		`tasktier_schedule_leader{queue="tasks"} 1`,
		`tasktier_schedule_leader{queue="other"} 1`,
		`tasktier_schedule_sent_total{queue="other"} 0`,
		`tasktier_schedule_dropped_total{queue="tasks"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics does not have %s", want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestSchedulesNeedEtcd(t *testing.T) {
	cfg := config.Default()
	cfg.Redis, cfg.Etcd = nil, nil
	cfg.Schedules = map[string]config.Schedule{"n": {Cron: "@daily", Type: "t"}}
	_, err := New(cfg, nil)
	var wrong *config.Error
	if !errors.As(err, &wrong) || err.Error() != "schedules: "+noEtcdForSchedules {
		t.Errorf("new: %v, want a configuration error of schedules", err)
	}
}

func TestSchedulesByQueue(t *testing.T) {
	cfg := config.Default()
	cfg.Queues["mail"] = config.DefaultQueue()
	cfg.Schedules = map[string]config.Schedule{
		"b": {Cron: "@daily", Type: "t"}, "a": {Cron: "@daily", Type: "t", Missed: config.All, Data: "x"},
		"m": {Cron: "@hourly", Zone: "Europe/Berlin", Type: "t", Queue: "mail"},
	}
	queues, err := Schedules(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(queues) != 2 || len(queues["tasks"]) != 2 || len(queues["mail"]) != 1 {
		t.Fatalf("got %+v", queues)
	}
	a, m := queues["tasks"][0], queues["mail"][0]
	if a.Name != "a" || string(a.Data) != `"x"` || a.Missed != schedule.All || m.Zone != "Europe/Berlin" || m.Data != nil {
		t.Errorf("got %+v", queues)
	}
}
