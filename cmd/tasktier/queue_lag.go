package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A backlog is what Kafka knows of a queue.
type backlog struct {
	queue      string
	partitions []partitionRow
	oldest     time.Time // when the oldest record was written that is not finished; zero if there is none, or it is not known
}

// A partitionRow is a partition as JSON shows it.
type partitionRow struct {
	Partition int32  `json:"partition"`
	Start     int64  `json:"start"`
	Committed *int64 `json:"committed,omitempty"` // missing: nothing ever was
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"`
	Member    string `json:"member,omitempty"` // of the consumer group that reads it
	Host      string `json:"host,omitempty"`
}

// next is the first offset that is not finished.
func (p partitionRow) next() int64 { return p.End - p.Lag }

func (b backlog) lag() (n int64) {
	for _, p := range b.partitions {
		n += p.Lag
	}
	return n
}

// backlogOf asks Kafka how far a queue is. The error wraps [errNoQueueTopic] if it has no topic.
func backlogOf(ctx context.Context, adm *kadm.Client, prefix, queue string) (backlog, error) {
	b := backlog{queue: queue}
	topic, group := names.Pending(queue), names.Group(prefix, queue)
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return b, fmt.Errorf("topic %s %w", topic, errNoQueueTopic)
	}
	if err != nil {
		return b, fmt.Errorf("find the start of topic %s: %w", topic, err)
	}
	commits, err := commitsOf(ctx, adm, group) // before the ends: what is committed meanwhile must not lie behind them
	if err != nil {
		return b, err
	}
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return b, fmt.Errorf("find the end of topic %s: %w", topic, err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		p := partitionRow{Partition: end.Partition, End: end.Offset}
		if start, ok := starts.Lookup(topic, end.Partition); ok {
			p.Start = start.Offset
		}
		next := p.Start
		if at, ok := commits.Lookup(topic, end.Partition); ok && at.At >= 0 {
			p.Committed = &at.At
			next = max(next, at.At)
		}
		p.Lag = max(p.End-next, 0)
		b.partitions = append(b.partitions, p)
	})
	slices.SortFunc(b.partitions, func(a, b partitionRow) int { return int(a.Partition - b.Partition) })
	return b, nil
}

// A group's coordinator is asked again this often and at these intervals: a new cluster has none before somebody asks.
const (
	coordinatorAsked = 20
	coordinatorEvery = 250 * time.Millisecond
)

// commitsOf are the offsets that a group has committed; none if there is no such group.
func commitsOf(ctx context.Context, adm *kadm.Client, group string) (commits kadm.OffsetResponses, err error) {
	again := backoff.WithContext(backoff.WithMaxRetries(backoff.NewConstantBackOff(coordinatorEvery), coordinatorAsked), ctx)
	err = backoff.Retry(func() error {
		var failed error
		if commits, failed = adm.FetchOffsets(ctx, group); failed != nil && !kerr.IsRetriable(failed) {
			return backoff.Permanent(failed)
		}
		return failed
	}, again)
	switch {
	case errors.Is(err, kerr.GroupIDNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the offsets of group %s: %w", group, err)
	}
	return commits, nil
}

// name says who reads the partitions of a queue.
func name(ctx context.Context, adm *kadm.Client, prefix, queue string, partitions []partitionRow) error {
	group, topic := names.Group(prefix, queue), names.Pending(queue)
	described, err := adm.DescribeGroups(ctx, group)
	if err == nil {
		err = described[group].Err
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil // no node has run yet
	}
	if err != nil {
		return fmt.Errorf("describe group %s: %w", group, err)
	}
	for _, m := range described[group].Members {
		assigned, ok := m.Assigned.AsConsumer()
		if !ok {
			continue
		}
		for _, t := range assigned.Topics {
			for i := range partitions {
				if p := &partitions[i]; t.Topic == topic && slices.Contains(t.Partitions, p.Partition) {
					p.Member, p.Host = m.MemberID, strings.TrimPrefix(m.ClientHost, "/")
				}
			}
		}
	}
	return nil
}

// errNoQueueTopic says that a queue has no topic yet.
var errNoQueueTopic = errors.New("is not there yet")

const (
	// glance bounds the reading of the oldest records.
	glance = 3 * time.Second
	// glanceBytes is how much of a partition is read at once; a broker sends a batch that is larger all the same.
	glanceBytes = 16 << 10
)

// date finds out when the oldest record of each backlog was written. What can't be read in time is left out.
func date(ctx context.Context, kafka config.Kafka, backlogs []backlog) error {
	from, last, at := map[string]map[int32]kgo.Offset{}, map[string]map[int32]int64{}, map[string]int{}
	wanted := 0
	for i, b := range backlogs {
		topic := names.Pending(b.queue)
		from[topic], last[topic], at[topic] = map[int32]kgo.Offset{}, map[int32]int64{}, i
		for _, p := range b.partitions {
			if p.Lag > 0 {
				from[topic][p.Partition], last[topic][p.Partition] = kgo.NewOffset().At(p.next()), p.End-1
				wanted++
			}
		}
	}
	if wanted == 0 {
		return nil
	}
	opts, err := kafka.Options()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append(opts,
		kgo.ConsumePartitions(from), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // where nothing else is left, or it would be waited for
		kgo.FetchMaxPartitionBytes(glanceBytes), kgo.FetchMaxWait(250*time.Millisecond),
	)...)
	if err != nil {
		return fmt.Errorf("configure kafka: %w", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	for wanted > 0 && ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			end, open := last[p.Topic][p.Partition]
			for _, r := range p.Records {
				if b := &backlogs[at[p.Topic]]; open && !r.Attrs.IsControl() && (b.oldest.IsZero() || r.Timestamp.Before(b.oldest)) {
					b.oldest = r.Timestamp
				}
				if open && (!r.Attrs.IsControl() || r.Offset >= end) {
					open = false
					wanted--
					delete(last[p.Topic], p.Partition)
					client.PauseFetchPartitions(map[string][]int32{p.Topic: {p.Partition}})
				}
			}
		})
	}
	return nil
}
