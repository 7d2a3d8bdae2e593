package consumer

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tasktier/tasktier/retry"
	"github.com/tasktier/tasktier/task"
)

// The outermost word wins, through any wrapping; of joined errors the first that has one.
func TestJudge(t *testing.T) {
	cause := errors.New("cause")
	wrap := func(err error) error { return fmt.Errorf("while working: %w", err) }
	tests := []struct {
		name   string
		err    error
		kind   kind
		reason task.Reason
		delay  time.Duration
	}{
		{"nil", nil, succeeds, "", 0},
		{"any error", cause, dies, task.ReasonExhausted, 0},
		{"wrapped", wrap(cause), dies, task.ReasonExhausted, 0},
		{"its own deadline", context.DeadlineExceeded, dies, task.ReasonExhausted, 0},
		{"permanent", task.Permanent(cause), dies, task.ReasonFailed, 0},
		{"permanent nil", task.Permanent(nil), succeeds, "", 0},
		{"retry after", task.RetryAfter(time.Hour, cause), dies, task.ReasonExhausted, 0},
		{"retry after nil", task.RetryAfter(time.Hour, nil), succeeds, "", 0},
		{"snooze", task.Snooze(time.Minute), snoozes, "", time.Minute},
		{"permanent, wrapped", wrap(wrap(task.Permanent(cause))), dies, task.ReasonFailed, 0},
		{"snooze, wrapped", wrap(task.Snooze(time.Minute)), snoozes, "", time.Minute},
		{"permanent around snooze", task.Permanent(wrap(task.Snooze(time.Minute))), dies, task.ReasonFailed, 0},
		{"permanent around retry after", task.Permanent(task.RetryAfter(time.Minute, cause)), dies, task.ReasonFailed, 0},
		{"retry after around permanent", task.RetryAfter(time.Minute, task.Permanent(cause)), dies, task.ReasonExhausted, 0},
		{"joined, with a permanent", errors.Join(cause, task.Permanent(cause)), dies, task.ReasonFailed, 0},
		{"joined, snooze first", errors.Join(task.Snooze(time.Second), task.Permanent(cause)), snoozes, "", time.Second},
		{"joined, permanent first", errors.Join(wrap(task.Permanent(cause)), task.Snooze(time.Second)), dies, task.ReasonFailed, 0},
		{"joined within a word", task.Permanent(errors.Join(task.Snooze(time.Second), cause)), dies, task.ReasonFailed, 0},
		{"joined without a word", errors.Join(cause, wrap(cause)), dies, task.ReasonExhausted, 0},
		{"two %w", fmt.Errorf("%w and %w", cause, task.Snooze(time.Second)), snoozes, "", time.Second},
		{"panic with a word", &PanicError{Value: task.Permanent(cause)}, dies, task.ReasonFailed, 0},
		{"panic with anything", &PanicError{Value: 42}, dies, task.ReasonExhausted, 0},
	}
	c := &Consumer{}
	last := &turn{task: task.Task{Attempt: 3}, part: &partition{queue: &queue{Queue: Queue{Retry: retry.Policy{MaxAttempts: 3}}}}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := c.judge(last, tt.err)
			if got.kind != tt.kind || got.reason != tt.reason || got.delay != tt.delay {
				t.Errorf("got %+v, want kind %d, reason %q, delay %v", got, tt.kind, tt.reason, tt.delay)
			}
			if tt.kind == dies && !errors.Is(got.err, tt.err) {
				t.Errorf("the letter would say %v, want all of %v", got.err, tt.err)
			}
		})
	}
}

// A task may ask for less time than its type or its queue gives, never for more.
func TestTimeout(t *testing.T) {
	c := &Consumer{cfg: Config{Types: map[string]Type{"short": {Timeout: time.Minute}, "long": {Timeout: 3 * time.Hour}, "none": {}}}}
	part := &partition{queue: &queue{Queue: Queue{Timeout: time.Hour}}}
	tests := []struct {
		typ         string
		asked, want time.Duration
	}{
		{"other", 0, time.Hour},
		{"other", time.Second, time.Second},
		{"other", 2 * time.Hour, time.Hour},
		{"none", 0, time.Hour},
		{"short", 0, time.Minute},
		{"short", time.Second, time.Second},
		{"short", 10 * time.Minute, time.Minute},
		{"long", 0, 3 * time.Hour},
		{"long", 2 * time.Hour, 2 * time.Hour},
	}
	for _, tt := range tests {
		tn := &turn{task: task.Task{Type: tt.typ, Timeout: tt.asked}, part: part}
		if got := c.timeout(tn); got != tt.want {
			t.Errorf("type %s that asks for %v: %v, want %v", tt.typ, tt.asked, got, tt.want)
		}
	}
}
