package outcome_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tasktier/tasktier/middleware/internal/outcome"
	"github.com/tasktier/tasktier/task"
)

func TestOf(t *testing.T) {
	live := t.Context()
	canceled, cancel := context.WithCancel(live)
	cancel()
	late, cancel := context.WithDeadline(live, time.Unix(0, 0))
	defer cancel()
	failure := errors.New("no")

	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want outcome.Outcome
	}{
		{"nil", live, nil, outcome.Succeeded},
		{"nil, though canceled", canceled, nil, outcome.Succeeded},
		{"any error", live, failure, outcome.Failed},
		{"any error at the timeout", late, failure, outcome.Failed},
		{"any error after a cancel", canceled, failure, outcome.Canceled},
		{"a canceled context that is not the attempt's", live, context.Canceled, outcome.Failed},
		{"permanent", live, task.Permanent(failure), outcome.Permanent},
		{"permanent, though canceled", canceled, task.Permanent(failure), outcome.Permanent},
		{"retry after", live, task.RetryAfter(1, failure), outcome.Failed},
		{"snooze", live, task.Snooze(1), outcome.Snoozed},
		{"wrapped", live, fmt.Errorf("send: %w", task.Snooze(1)), outcome.Snoozed},
		{"joined", live, errors.Join(failure, task.Permanent(failure)), outcome.Permanent},
		{"the outermost word: permanent", live, task.Permanent(task.Snooze(1)), outcome.Permanent},
		{"the outermost word: retry", live, task.RetryAfter(1, task.Permanent(failure)), outcome.Failed},
		{"the first word of several", live, errors.Join(task.Snooze(1), task.Permanent(failure)), outcome.Snoozed},
	} {
		if got := outcome.Of(c.ctx, c.err); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
