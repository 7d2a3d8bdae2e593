package middleware

import (
	"context"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/middleware/internal/outcome"
	"github.com/tasktier/tasktier/task"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Logging writes one line for each attempt to log: a warning if it failed, was canceled or did not return, else at debug
// level. The keys are outcome, task_id, task_source, task_type, queue, attempt, generation, duration and, where there is
// one, error.
func Logging(log *zap.Logger) consumer.Middleware {
	return func(next consumer.Handler) consumer.Handler {
		return func(ctx context.Context, t *task.Task) error {
			start := time.Now()
			err := outcome.ErrPanic // unless next returns
			defer func() { logAttempt(ctx, log, t, time.Since(start), err) }()
			err = next(ctx, t)
			return err
		}
	}
}

func logAttempt(ctx context.Context, log *zap.Logger, t *task.Task, took time.Duration, err error) {
	o := outcome.Of(ctx, err)
	level, message := zapcore.DebugLevel, "attempt ended"
	if o.Bad() {
		level, message = zapcore.WarnLevel, "attempt failed"
	}
	line := log.Check(level, message)
	if line == nil {
		return
	}
	line.Write(
		zap.String("outcome", string(o)),
		zap.String("task_id", t.ID),
		zap.String("task_source", t.Source),
		zap.String("task_type", t.Type),
		zap.String("queue", t.Queue),
		zap.Int("attempt", t.Attempt),
		zap.Int("generation", t.Generation),
		zap.Duration("duration", took),
		zap.Error(err), // no field if nil
	)
}
