package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/topic"
)

func TestExitCodes(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	unreachable := &tasktier.UnreachableError{Server: "etcd", Addresses: []string{"a:1", "b:2"}, Err: errors.New("connection refused")}
	for _, c := range []struct {
		name  string
		ctx   context.Context
		err   error
		code  int
		lines string
	}{
		{"done", t.Context(), nil, 0, ""},
		{"failed", t.Context(), errors.New("it broke"), 1, "tasktier: it broke\n"},
		{"failed, and said so", t.Context(), errReported, 1, ""},
		{"handlers left behind", t.Context(), fmt.Errorf("stop: %w", consumer.ErrAbandoned), 1, "tasktier: stop: handlers did not return in time\n"},
		{"an unsafe topic", t.Context(), &topic.MissingError{Topics: []topic.Topic{{Spec: topic.Spec{Name: "q.pending", Queue: "q"}}}}, 1,
			"tasktier: topic q.pending: missing; create it with: tasktier topic apply --queue q\n"},
		{"usage", t.Context(), wrong("no such thing"), 2, "tasktier: no such thing\n"},
		{"usage, with help", t.Context(), &usageError{"tasktier dev", errors.New("no")}, 2, "tasktier: no (see 'tasktier dev --help')\n"},
		{"configuration", t.Context(), fmt.Errorf("load: %w", &config.Error{Problems: []config.Problem{{Where: "f:1", Key: "a", Message: "b"}, {Where: "f:2", Message: "c"}}}), 2,
			"tasktier: load: f:1: a: b\ntasktier: f:2: c\n"},
		{"in part", t.Context(), partly("done in part: %d", 3), 3, "tasktier: done in part: 3\n"},
		{"unreachable", t.Context(), fmt.Errorf("doctor: %w", unreachable), 4, "tasktier: doctor: etcd is not reachable at a:1, b:2: connection refused\n"},
		{"several unreachable", t.Context(), errors.Join(unreachable, unreachable), 4,
			"tasktier: etcd is not reachable at a:1, b:2: connection refused\ntasktier: etcd is not reachable at a:1, b:2: connection refused\n"},
		{"interrupted", t.Context(), fmt.Errorf("%w at line 3", errInterrupted), 130, "tasktier: interrupted at line 3\n"},
		{"interrupted in a call", canceled, fmt.Errorf("read: %w", context.Canceled), 130, "tasktier: interrupted\n"},
		{"canceled by no signal", t.Context(), fmt.Errorf("read: %w", context.Canceled), 1, "tasktier: read: context canceled\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stderr bytes.Buffer
			if code := (&cli{stderr: &stderr}).report(c.ctx, c.err); code != c.code || stderr.String() != c.lines {
				t.Errorf("%d\n%swant %d\n%s", code, &stderr, c.code, c.lines)
			}
		})
	}
}
