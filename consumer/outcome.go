package consumer

import (
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"go.uber.org/zap"
)

// A kind is what becomes of a turn after an attempt.
type kind uint8

const (
	succeeds  kind = iota
	dies           // to the dead letters
	snoozes        // put aside, started again later
	abandoned      // this node gave it up: neither success nor failure, delivered again
)

type outcome struct {
	kind   kind
	reason task.Reason   // of a death
	err    error         // of a death
	delay  time.Duration // of a snooze
}

var errExpired = errors.New("its expiry passed before an attempt could start")

// judge reads a handler's answer. Until retry tiers exist, a failure is final.
func judge(err error) outcome {
	if err == nil {
		return outcome{kind: succeeds}
	}
	switch e := task.Word(err).(type) { //nolint:errorlint // Word has unwrapped it
	case *task.SnoozeError:
		return outcome{kind: snoozes, delay: e.Delay}
	case *task.PermanentError:
		return outcome{kind: dies, reason: task.ReasonFailed, err: err}
	default:
		return outcome{kind: dies, reason: task.ReasonExhausted, err: err}
	}
}

// unfit says why a record can't be obeyed: it is no task, or it asks for the impossible. A nil error means it can.
func (q *queue) unfit(t *turn) (task.Reason, error) {
	if t.bad != nil {
		var bad *record.Error
		if errors.As(t.bad, &bad) {
			return bad.Reason, t.bad
		}
		return task.ReasonUndecodable, t.bad
	}
	if time.Until(t.task.NotBefore) > q.Horizon {
		return task.ReasonInvalid, fmt.Errorf("notbefore %s is more than %v ahead", t.task.NotBefore.UTC().Format(time.RFC3339), q.Horizon)
	}
	return "", nil
}

const (
	firstUnhandled = time.Second
	maxUnhandled   = time.Minute
)

// unhandled puts a task off whose type has no handler here, a little longer each time, until the queue's limit: a
// deployment that is under way may bring the handler.
func (q *queue) unhandled(t *turn) outcome {
	if t.puts == 0 {
		t.missed = time.Now()
	}
	waited := time.Since(t.missed)
	if waited >= q.Unhandled {
		return outcome{kind: dies, reason: task.ReasonUnhandled, err: fmt.Errorf("no handler for type %q for %v", t.task.Type, q.Unhandled)}
	}
	if t.puts == 0 && q.trouble.allow() {
		q.consumer.cfg.Log.Warn("no handler for this type; waiting for one", append(fields(&t.task), zap.Duration("limit", q.Unhandled))...)
	}
	delay := min(firstUnhandled<<min(t.puts, 10), maxUnhandled, q.Unhandled-waited)
	t.puts++
	return outcome{kind: snoozes, delay: delay}
}
