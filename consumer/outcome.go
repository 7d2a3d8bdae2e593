package consumer

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/retry"
	"github.com/tasktier/tasktier/task"
	"go.uber.org/zap"
)

// A kind is what becomes of a turn.
type kind uint8

const (
	succeeds  kind = iota
	dies           // to the dead letters
	retries        // comes back as the next turn, for the next attempt
	snoozes        // comes back as the next turn, no attempt used
	postpones      // comes back as it is: it was not due
	defers         // comes back as it is: its type may not start now
	cancels        // an operator canceled it
	abandoned      // this node gave it up: neither success nor failure, delivered again
)

type outcome struct {
	kind   kind
	reason task.Reason   // of a death
	err    error         // of a failure
	delay  time.Duration // of a retry, a snooze or a deferral
	note   string        // what the successor carries as its error, if it was no failure
}

// state is where a task is in its life that comes back.
func (k kind) state() task.State {
	switch k {
	case retries:
		return task.Retrying
	case postpones:
		return task.Scheduled
	default:
		return task.Pending
	}
}

// claim is what the claim of a turn says whose successor w is written.
func (o outcome) claim(w retry.Wait) claim.Outcome {
	if o.kind == retries {
		return claim.Outcome{State: claim.Retrying, Due: w.Due, Details: &claim.Details{Error: w.Err, FirstError: w.FirstErr}}
	}
	return claim.Outcome{State: claim.Pending, Due: w.Due}
}

// lastWords are what the letter is written from, should this node not come to it.
func (t *turn) lastWords(reason task.Reason, cause error) *claim.Details {
	stamp, _ := record.ReadStamp(t.record) // a stamp that can't be read was refused by Decode
	d := &claim.Details{Reason: reason, Error: cause.Error(), FirstError: stamp.FirstErr}
	if d.FirstError == "" {
		d.FirstError = d.Error
	}
	return d
}

var errExpired = errors.New("its expiry passed before an attempt could start")

// judge reads a handler's answer.
func (c *Consumer) judge(t *turn, err error) outcome {
	if err == nil {
		return outcome{kind: succeeds}
	}
	switch e := task.Word(err).(type) { //nolint:errorlint // Word has unwrapped it
	case *task.SnoozeError:
		return outcome{kind: snoozes, delay: e.Delay}
	case *task.PermanentError:
		return outcome{kind: dies, reason: task.ReasonFailed, err: err}
	}
	delay, again := c.policy(t).Next(t.task.Attempt, t.task.MaxAttempts, err)
	if !again {
		return outcome{kind: dies, reason: task.ReasonExhausted, err: err}
	}
	return outcome{kind: retries, delay: delay, err: err}
}

// policy is the retry policy of a turn's type.
func (c *Consumer) policy(t *turn) retry.Policy {
	return c.cfg.Types[t.task.Type].Retry.Over(t.part.queue.Retry)
}

// successor is the record by which a turn comes back.
func (t *turn) successor(o outcome) retry.Wait {
	w := retry.Wait{
		Queue: t.part.queue.Name, Record: t.record,
		Generation: t.task.Generation, Turn: t.task.Turn, Attempt: t.task.Attempt,
	}
	stamp, _ := record.ReadStamp(t.record) // a stamp that can't be read was refused by Decode
	w.Err, w.FirstErr = stamp.Err, stamp.FirstErr
	if strings.HasPrefix(w.Err, noHandlerSince) {
		w.Err = ""
	}
	switch o.kind {
	case postpones:
		w.Due = t.task.NotBefore
		return w
	case defers:
		w.Due = time.Now().Add(o.delay)
		return w
	case retries:
		w.Attempt++
		w.Err = o.err.Error()
		if w.FirstErr == "" {
			w.FirstErr = w.Err
		}
	default:
		o.delay = max(o.delay, minSnooze)
		if o.note != "" {
			w.Err = o.note
		}
	}
	w.Turn++
	w.Due = time.Now().Add(min(o.delay, t.part.queue.Horizon))
	return w
}

// unfit says why a record can't be obeyed, due so far ahead: it is no task, or it asks for the impossible. A nil error
// means it can.
func (q *queue) unfit(t *turn, ahead time.Duration) (task.Reason, error) {
	if t.bad != nil {
		var bad *record.Error
		if errors.As(t.bad, &bad) {
			return bad.Reason, t.bad
		}
		return task.ReasonUndecodable, t.bad
	}
	if ahead > q.Horizon {
		return task.ReasonInvalid, fmt.Errorf("notbefore %s is more than %v ahead", t.task.NotBefore.UTC().Format(time.RFC3339), q.Horizon)
	}
	return "", nil
}

const (
	minUnhandled = time.Second
	maxUnhandled = 10 * time.Minute
	// noHandlerSince begins the error that a task carries while no node knows its type; a time follows.
	noHandlerSince = "no handler since "
)

// unhandled puts a task off whose type has no handler here, until the queue's limit: another deployment may know it, or
// one that is under way. The longer it has waited, the rarer it is looked at.
func (q *queue) unhandled(t *turn) outcome {
	since := t.missed
	if since.IsZero() {
		since = t.firstMissed()
		t.missed = since
	}
	waited := max(time.Since(since), 0)
	if waited >= q.Unhandled {
		return outcome{kind: dies, reason: task.ReasonUnhandled, err: fmt.Errorf("no handler for type %q for %v", t.task.Type, q.Unhandled)}
	}
	if q.unknown.Allow() {
		q.consumer.cfg.Log.Warn("no handler for this type; waiting for one", append(fields(&t.task), zap.Duration("limit", q.Unhandled))...)
	}
	delay := min(max(waited/4, minUnhandled), maxUnhandled, q.Unhandled-waited)
	return outcome{kind: snoozes, delay: delay, note: noHandlerSince + since.UTC().Format(time.RFC3339)}
}

// firstMissed is when a node missed the handler first: the task carries it along.
func (t *turn) firstMissed() time.Time {
	stamp, _ := record.ReadStamp(t.record) // a stamp that can't be read was refused by Decode
	if text, ok := strings.CutPrefix(stamp.Err, noHandlerSince); ok {
		if since, err := time.Parse(time.RFC3339, text); err == nil {
			return since
		}
	}
	return time.Now()
}
