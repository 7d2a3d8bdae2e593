package middleware_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tasktier/tasktier/middleware"
	"github.com/tasktier/tasktier/task"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestLoggingWritesALineForEachAttempt(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		name    string
		answer  error
		panics  bool
		level   zapcore.Level
		outcome string
	}{
		{name: "success", level: zap.DebugLevel, outcome: "succeeded"},
		{name: "snooze", answer: task.Snooze(time.Second), level: zap.DebugLevel, outcome: "snoozed"},
		{name: "failure", answer: boom, level: zap.WarnLevel, outcome: "failed"},
		{name: "permanent failure", answer: task.Permanent(boom), level: zap.WarnLevel, outcome: "permanent"},
		{name: "panic", panics: true, level: zap.WarnLevel, outcome: "failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			core, lines := observer.New(zap.DebugLevel)
			h := middleware.Logging(zap.New(core))(func(context.Context, *task.Task) error {
				if c.panics {
					panic(boom)
				}
				return c.answer
			})
			tt := &task.Task{ID: "1", Source: "/shop", Type: "email.send", Queue: "mail", Attempt: 3, Generation: 2}
			err, panicked := call(h, tt)
			if err != c.answer || (panicked != nil) != c.panics {
				t.Errorf("the answer became %v, the panic %v", err, panicked)
			}
			if lines.Len() != 1 {
				t.Fatalf("%d lines", lines.Len())
			}
			line := lines.All()[0]
			got := line.ContextMap()
			if _, ok := got["duration"].(time.Duration); !ok {
				t.Errorf("duration is %v", got["duration"])
			}
			if line.Level != c.level {
				t.Errorf("level is %v, want %v", line.Level, c.level)
			}
			for key, want := range map[string]any{
				"task_id": "1", "task_source": "/shop", "task_type": "email.send", "queue": "mail",
				"attempt": int64(3), "generation": int64(2), "outcome": c.outcome,
			} {
				if got[key] != want {
					t.Errorf("%s is %v, want %v", key, got[key], want)
				}
			}
			if _, ok := got["error"]; ok != (c.answer != nil || c.panics) {
				t.Errorf("error is %v", got["error"])
			}
		})
	}
}

func call(h func(context.Context, *task.Task) error, t *task.Task) (err error, panicked any) {
	defer func() { panicked = recover() }()
	return h(context.Background(), t), nil
}
