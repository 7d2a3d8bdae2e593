package topic

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// An UnsafeError says that topics could lose unfinished work.
type UnsafeError struct{ Findings []Finding }

// Error is one line for each finding, with the command that mends it.
func (e *UnsafeError) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = f.String() + "; mend it with: " + command(f.Queue)
	}
	return strings.Join(lines, "\n")
}

// A MissingError says that topics are not there and may not be created.
type MissingError struct{ Topics []Topic }

// Error is one line for each topic, with the command that creates it.
func (e *MissingError) Error() string {
	lines := make([]string, len(e.Topics))
	for i, t := range e.Topics {
		lines[i] = fmt.Sprintf("topic %s: missing; create it with: %s", t.Spec.Name, command(t.Spec.Queue))
	}
	return strings.Join(lines, "\n")
}

// A KeyedError says that partitions were not added because that would reorder an ordered queue.
type KeyedError struct{ Findings []Finding }

// Error is one line for each topic.
func (e *KeyedError) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = f.String() + "; left as it is"
	}
	return strings.Join(lines, "\n")
}

// An AccessError says that Kafka refused something to this user.
type AccessError struct {
	Doing  string // as in "create topics"
	Topics []string
	Needs  string // the permission, or another way out
	Err    error
}

func (e *AccessError) Error() string {
	return fmt.Sprintf("%s %s: %v: the Kafka user needs %s", e.Doing, strings.Join(e.Topics, ", "), e.Err, e.Needs)
}

func (e *AccessError) Unwrap() error { return e.Err }

// refused is err, as an AccessError if it is about permission.
func refused(doing, needs string, topics []string, err error) error {
	for _, denied := range []error{kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed} {
		if errors.Is(err, denied) {
			return &AccessError{Doing: doing, Topics: topics, Needs: needs, Err: denied}
		}
	}
	return fmt.Errorf("%s %s: %w", doing, strings.Join(topics, ", "), err)
}

func command(queue string) string { return "tasktier topic apply --queue " + queue }
