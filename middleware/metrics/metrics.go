// Package metrics is middleware that measures handlers with Prometheus.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/middleware/internal/outcome"
	"github.com/tasktier/tasktier/task"
)

// New registers two metrics with reg and returns the middleware that feeds them:
//
//	tasktier_handler_duration_seconds{queue,type,outcome}   histogram of how long attempts took
//	tasktier_handler_running{queue,type}                    gauge of the attempts at work
//
// The outcome is succeeded, failed, permanent, snoozed or canceled. The labels are bounded: middleware sees only tasks
// of configured queues whose type has a handler. Used again with the same reg, as by a second node in the process, New
// shares the metrics. It panics if reg has other metrics of these names: a mistake in the program, to be seen at its start.
func New(reg prometheus.Registerer) consumer.Middleware {
	duration := register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tasktier_handler_duration_seconds",
		Help: "How long attempts to execute tasks took.",
		// From what a handler in memory takes to what a report does: 1 ms to 17 min, each four times the one before.
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 11),
	}, []string{"queue", "type", "outcome"}))
	running := register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tasktier_handler_running",
		Help: "Attempts to execute tasks that are at work.",
	}, []string{"queue", "type"}))
	return func(next consumer.Handler) consumer.Handler {
		return func(ctx context.Context, t *task.Task) error {
			start := time.Now()
			gauge := running.WithLabelValues(t.Queue, t.Type)
			gauge.Inc()
			err := outcome.ErrPanic // unless next returns
			defer func() {
				gauge.Dec()
				o := string(outcome.Of(ctx, err))
				duration.WithLabelValues(t.Queue, t.Type, o).Observe(time.Since(start).Seconds())
			}()
			err = next(ctx, t)
			return err
		}
	}
}

// register returns c, or the collector of its kind that reg has in its place.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	err := reg.Register(c)
	if err == nil {
		return c
	}
	var there prometheus.AlreadyRegisteredError
	if errors.As(err, &there) {
		if old, ok := there.ExistingCollector.(C); ok {
			return old
		}
	}
	panic(fmt.Errorf("register handler metrics: %w", err))
}
