package upkeep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// unknown stands for an offset that there is not, or that could not be read.
const unknown = -1

// A partition is how far its reader has come, and how long it is.
type partition struct {
	topic     string
	number    int32
	committed int64 // unknown: there is none
	// start and end bound the log: the oldest record, and the next one to come. Both unknown while it has no leader.
	start, end int64
}

// done is the offset below which everything is finished, for certain; unknown if nothing is. A commit beyond the end is
// of a log that was cut, or of another topic of that name.
func (p partition) done() int64 {
	if p.committed > p.end {
		return unknown
	}
	return p.committed
}

// errNoAnswer is why offsets can't be listed.
var errNoAnswer = errors.New("there is no leader that answers; see the log of the Kafka controller")

func (p partition) silent() error {
	return fmt.Errorf("list offsets of partition %d of %s: %w", p.number, p.topic, errNoAnswer)
}

// A survey is what Kafka says of a reader's partitions, in the order of its topics and their numbers.
type survey struct {
	partitions []partition
	ids        map[string]kadm.TopicID // zero from brokers that know of none
}

// survey asks, in this order, for the topics, the committed offsets and the bounds of the logs: so a commit is never
// beyond the end but for a cause. An error says that topics or commits could not be read at all.
func (in Installation) survey(ctx context.Context, r reader) (survey, error) {
	s := survey{ids: make(map[string]kadm.TopicID)}
	details, err := in.topics(ctx, r.topics)
	if err != nil {
		return s, err
	}
	committed, err := in.Kafka.FetchOffsets(ctx, r.group)
	if err == nil {
		err = committed.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return s, fmt.Errorf("read committed offsets of group %s: %w", r.group, err)
	}
	start, startErr := in.Kafka.ListStartOffsets(ctx, r.topics...)
	end, endErr := in.Kafka.ListEndOffsets(ctx, r.topics...)
	if err := errors.Join(startErr, endErr); err != nil && ctx.Err() != nil {
		return s, fmt.Errorf("list offsets of %v: %w", r.topics, err)
	}
	for _, topic := range r.topics {
		s.ids[topic] = details[topic].ID
		for _, d := range details[topic].Partitions.Sorted() {
			p := partition{topic: topic, number: d.Partition, committed: unknown, start: unknown, end: unknown}
			if c, ok := committed.Lookup(topic, p.number); ok {
				p.committed = max(c.At, unknown)
			}
			first, ok := start.Lookup(topic, p.number)
			next, okToo := end.Lookup(topic, p.number)
			if ok && okToo && first.Err == nil && next.Err == nil {
				p.start, p.end = first.Offset, next.Offset
			}
			s.partitions = append(s.partitions, p)
		}
	}
	if !slices.ContainsFunc(s.partitions, func(p partition) bool { return p.end != unknown }) {
		return s, fmt.Errorf("list offsets of %v: %w", r.topics, cmp.Or(errors.Join(startErr, endErr), errNoAnswer))
	}
	return s, nil
}

// topics describes topics that must be there.
func (in Installation) topics(ctx context.Context, topics []string) (kadm.TopicDetails, error) {
	// Asked with authorized operations, metadata comes from a broker and not from the client's cache.
	meta, err := in.Kafka.Metadata(kadm.WithAuthorizedOps(ctx), topics...)
	if err == nil {
		err = meta.Topics.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("describe topics %v: %w", topics, err)
	}
	return meta.Topics, nil
}
