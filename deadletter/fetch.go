package deadletter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// maxFetch is how many bytes are asked for at once, and readers how many partitions are read at once.
	maxFetch = 1 << 20
	readers  = 4

	// patience is how long a partition is tried to be read while its broker does not answer well.
	patience = 30 * time.Second
)

// A span is the part of a partition that is read: the offsets from start up to end, which is not part of it.
type span struct {
	partition  int32
	start, end int64
}

// A source reads the partitions of one topic wherever it is asked to. It asks the brokers itself instead of consuming with
// the client: what is wanted of a topic may be a few records here and there, and a consumer always fetches on.
type source struct {
	client *kgo.Client
	queue  string
	topic  string

	mu      sync.Mutex
	id      [16]byte
	leaders map[int32]int32
}

// open looks a queue's dead-letter topic up and says what is in it now. Records of transactions that are not decided, and
// whatever is behind them, are not.
func (s *Store) open(ctx context.Context, queue string) (*source, []span, error) {
	if err := names.ValidQueue(queue); err != nil {
		return nil, nil, fmt.Errorf("read dead letters: %w", err)
	}
	src := &source{client: s.client, queue: queue, topic: names.Dead(queue)}
	if err := src.locate(ctx); err != nil {
		return nil, nil, err
	}
	admin := kadm.NewClient(s.client)
	starts, err := admin.ListStartOffsets(ctx, src.topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, nil, src.trouble("find the start of", err)
	}
	ends, err := admin.ListCommittedOffsets(ctx, src.topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, nil, src.trouble("find the end of", err)
	}
	var spans []span
	for p := range src.leaders {
		start, _ := starts.Lookup(src.topic, p)
		end, _ := ends.Lookup(src.topic, p)
		if start.Offset < end.Offset {
			spans = append(spans, span{p, start.Offset, end.Offset})
		}
	}
	return src, spans, nil
}

// trouble says what an error of Kafka's means to an operator.
func (src *source) trouble(doing string, err error) error {
	if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) {
		return fmt.Errorf("%w: %s; create it with: tasktier topic apply --queue %s", ErrNoTopic, src.topic, src.queue)
	}
	return fmt.Errorf("%s topic %s: %w", doing, src.topic, err)
}

// locate finds the topic's partitions and who leads them. It asks a broker each time: kadm would remember for a while.
func (src *source) locate(ctx context.Context) error {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &src.topic
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, src.client)
	switch {
	case err != nil:
	case len(resp.Topics) != 1:
		err = fmt.Errorf("the broker answers for %d topics, asked for one", len(resp.Topics))
	default:
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		return src.trouble("find", err)
	}
	src.mu.Lock()
	defer src.mu.Unlock()
	src.id, src.leaders = resp.Topics[0].TopicID, make(map[int32]int32)
	for _, p := range resp.Topics[0].Partitions {
		src.leaders[p.Partition] = p.Leader
	}
	return nil
}

// fetch reads a partition from an offset on: at least one batch, if the partition has one there below end, and nil if it
// has none. What fails is tried again, with who leads the partition looked up anew.
func (src *source) fetch(ctx context.Context, partition int32, from, end int64, maxBytes int) (*kmsg.FetchResponseTopicPartition, error) {
	var pause *backoff.ExponentialBackOff
	for empty := 0; ; {
		got, err := src.try(ctx, partition, from, end, maxBytes, empty > 0)
		switch {
		case err == nil && (len(got.RecordBatches) > 0 || got.LogStartOffset > from):
			return got, nil
		case err == nil && empty == 1:
			return nil, nil // what was there is compacted away
		case err == nil:
			empty++
			continue
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		if pause == nil {
			pause = backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
				backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(patience))
		}
		wait := pause.NextBackOff()
		if wait == backoff.Stop || !retriable(err) {
			return nil, src.trouble(fmt.Sprintf("read partition %d of", partition), err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if err := src.locate(ctx); err != nil && (ctx.Err() != nil || errors.Is(err, ErrNoTopic)) {
			return nil, err
		}
	}
}

// retriable says whether an error may go away by itself.
func retriable(err error) bool {
	var answer *kerr.Error
	if errors.As(err, &answer) {
		return answer.Retriable
	}
	return !errors.Is(err, kgo.ErrClientClosed)
}

var (
	// errBehind says that a broker has less than another one has shown.
	errBehind = errors.New("the broker is behind the one that led the partition before")
	// errThrottled says that a quota has kept the broker from answering.
	errThrottled = errors.New("the broker's quota allows no more reading now")
)

// try asks once. Without an error there is something at from, or nothing up to end, or LogStartOffset is above from.
func (src *source) try(ctx context.Context, partition int32, from, end int64, maxBytes int, patiently bool) (*kmsg.FetchResponseTopicPartition, error) {
	src.mu.Lock()
	leader, known := src.leaders[partition]
	id := src.id
	src.mu.Unlock()
	if !known || leader < 0 {
		return nil, kerr.LeaderNotAvailable
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes = int32(maxBytes)
	if patiently {
		req.MaxWaitMillis, req.MinBytes = 100, 1
	}
	req.IsolationLevel = 1 // read committed
	req.SessionEpoch = -1  // no session
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, from, int32(maxBytes)
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID, t.Partitions = src.topic, id, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	answer, err := src.client.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, fmt.Errorf("the broker answers for %d topics, asked for one", len(resp.Topics))
	}
	got := &resp.Topics[0].Partitions[0]
	switch err := kerr.ErrorForCode(got.ErrorCode); {
	case errors.Is(err, kerr.OffsetOutOfRange):
		return src.deleted(ctx, partition, from)
	case err != nil:
		return nil, err
	case len(got.RecordBatches) > 0:
	case resp.ThrottleMillis > 0:
		return nil, errThrottled
	case got.LastStableOffset < end:
		return nil, errBehind
	}
	return got, nil
}

// deleted is the answer for an offset that is out of range: where the partition begins now, if that is behind it.
func (src *source) deleted(ctx context.Context, partition int32, from int64) (*kmsg.FetchResponseTopicPartition, error) {
	starts, err := kadm.NewClient(src.client).ListStartOffsets(ctx, src.topic)
	if err != nil {
		return nil, err
	}
	start, _ := starts.Lookup(src.topic, partition)
	switch {
	case start.Err != nil:
		return nil, start.Err
	case start.Offset <= from:
		return nil, errBehind
	}
	return &kmsg.FetchResponseTopicPartition{Partition: partition, LogStartOffset: start.Offset}, nil
}
