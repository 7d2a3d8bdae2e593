// Package names says what the topics and groups of an installation are called, and how its keys in etcd begin. It imports
// the standard library alone, so that producers share it at no cost.
package names

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

const (
	pendingSuffix = ".pending"
	deadSuffix    = ".dead"

	// maxTopic is Kafka's limit on a topic's name: partitions are folders, and folder names are limited to 255 bytes,
	// of which "-" and the partition's number take up to six here.
	maxTopic = 249
)

// MaxQueue is the longest queue name in bytes, so that the longest of its topics is still a legal name.
const MaxQueue = maxTopic - len(pendingSuffix)

// Pending is the topic of a queue's tasks that are ready to run.
func Pending(queue string) string { return queue + pendingSuffix }

// IsPending says whether a topic is one of those.
func IsPending(topic string) bool { return strings.HasSuffix(topic, pendingSuffix) }

// Dead is the topic of a queue's dead letters.
func Dead(queue string) string { return queue + deadSuffix }

// RetryMinute is the retry tier whose slots are a minute long; all queues of an installation share it.
func RetryMinute(prefix string) string { return prefix + ".retry.minute" }

// RetryHour is the retry tier whose slots are an hour long.
func RetryHour(prefix string) string { return prefix + ".retry.hour" }

// RetryGroup is the consumer group that brings tasks back from the tiers.
func RetryGroup(prefix string) string { return prefix + ".retry" }

// Group is the consumer group that executes a queue's tasks.
func Group(prefix, queue string) string { return prefix + "." + queue }

// EtcdPrefix is how all keys in etcd begin, by the prefix that is configured: without a slash at its end. "" is the default,
// "/tasktier".
func EtcdPrefix(prefix string) string { return strings.TrimRight(cmp.Or(prefix, "/tasktier"), "/") }

// ErrInvalid is wrapped by every error of [ValidQueue].
var ErrInvalid = errors.New("invalid queue name")

// ValidQueue says why a queue can't be called name: nil, or an error that wraps [ErrInvalid]. What is legal follows
// from Kafka's rule for topics: ASCII letters, digits, '.', '_' and '-'. A queue's name may not begin or end with a
// dot either, nor end like a topic of another queue's: "mail" and "mail.dead" would be a trap for operators.
func ValidQueue(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrInvalid)
	case len(name) > MaxQueue:
		return fmt.Errorf("%w: %.32q... has %d bytes, at most %d", ErrInvalid, name, len(name), MaxQueue)
	case name[0] == '.' || name[len(name)-1] == '.':
		return fmt.Errorf("%w: %q begins or ends with a dot", ErrInvalid, name)
	case IsPending(name) || strings.HasSuffix(name, deadSuffix):
		return fmt.Errorf("%w: %q is named like a topic of a queue; say the queue, without %s or %s", ErrInvalid, name, pendingSuffix, deadSuffix)
	}
	for i := range len(name) {
		if c := name[i]; !legal(c) {
			return fmt.Errorf("%w: %q has %q at byte %d; use ASCII letters, digits, '.', '_' and '-'", ErrInvalid, name, name[i:i+1], i)
		}
	}
	return nil
}

func legal(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}
