package producer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What a caller may want to tell apart. A task that is wrong in itself fails with [task.ErrInvalid].
var (
	// ErrTooLarge: the task exceeds Config.MaxBytes or what its topic takes. Nothing was written.
	ErrTooLarge = errors.New("task too large")
	// ErrNoTopic: the queue's topic does not exist. Nothing was written.
	ErrNoTopic = errors.New("no such topic")
	// ErrUnacknowledged: the context ended, or the producer was closed, before an acknowledgement came. The task may
	// or may not have been written, or yet be; sending it again with the same ID and Source is safe.
	ErrUnacknowledged = errors.New("not acknowledged")
	// ErrUnreachable accompanies ErrUnacknowledged where no broker can be connected to.
	ErrUnreachable = errors.New("kafka not reachable")
	// ErrClosed: the producer is closed.
	ErrClosed = errors.New("producer is closed")
)

// A Failure is one task that was not sent.
type Failure struct {
	// Index is the task's place among the arguments of Send.
	Index int
	Task  *task.Task
	Err   error
}

// A SendError lists the tasks of a call to [Producer.Send] that failed, in the order of the arguments. Tasks that are
// not in it were sent. errors.Is and errors.As look into every failure.
type SendError struct {
	// Total is how many tasks the call had.
	Total    int
	Failures []Failure
}

func (e *SendError) Error() string {
	var b strings.Builder
	if e.Total > 1 {
		fmt.Fprintf(&b, "%d of %d tasks not sent: ", len(e.Failures), e.Total)
	}
	// Failures of one call mostly share a cause: the first says it.
	f := e.Failures[0]
	if f.Task != nil {
		fmt.Fprintf(&b, "send task %.80q of type %.80q: ", f.Task.ID, f.Task.Type)
	}
	fmt.Fprint(&b, f.Err)
	if n := len(e.Failures) - 1; n > 0 {
		fmt.Fprintf(&b, " (and %d more)", n)
	}
	return b.String()
}

// Unwrap returns every failure's error.
func (e *SendError) Unwrap() []error {
	errs := make([]error, len(e.Failures))
	for i, f := range e.Failures {
		errs[i] = f.Err
	}
	return errs
}

// explain turns what the Kafka client said about a record into what the caller can do about it.
func (p *Producer) explain(ctx context.Context, topic string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return p.unacknowledged(ctx, topic)
	case errors.Is(err, kgo.ErrClientClosed):
		return fmt.Errorf("%w: %w", ErrUnacknowledged, ErrClosed)
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return fmt.Errorf("%w: %s; create it with `tasktier topic apply`", ErrNoTopic, topic)
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return fmt.Errorf("%w for topic %s: raise its max.message.bytes with `tasktier topic apply`, or lower Config.MaxBytes", ErrTooLarge, topic)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return fmt.Errorf("write to topic %s: not allowed; grant WRITE and DESCRIBE on it to this user: %w", topic, err)
	}
	return fmt.Errorf("write to topic %s: %w", topic, err)
}

// unacknowledged says that ctx ended first.
func (p *Producer) unacknowledged(ctx context.Context, topic string) error {
	cause := context.Cause(ctx)
	if dial := p.dials.lastError(); dial != nil {
		return fmt.Errorf("%w: %w: %w", ErrUnacknowledged, p.unreachable(dial), cause)
	}
	return fmt.Errorf("%w by topic %s at %s: %w", ErrUnacknowledged, topic, p.addresses(), cause)
}

func (p *Producer) unreachable(dial error) error {
	return fmt.Errorf("%w at %s (%w)", ErrUnreachable, p.addresses(), dial)
}

func (p *Producer) addresses() string { return strings.Join(p.cfg.Brokers, ", ") }
