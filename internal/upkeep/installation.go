package upkeep

import (
	"context"
	"errors"
	"fmt"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Tiers stands for the retry tiers where a queue is to be named: they have a group, offsets and a mirror like a queue's.
const Tiers = ""

// An Installation says where queues and their offsets are.
type Installation struct {
	// Kafka reaches the cluster. It stays its owner's, who closes it when nothing of this package runs any more. Required.
	Kafka *kadm.Client
	// KafkaPrefix begins the names of groups and of the retry tiers. Required.
	KafkaPrefix string
	// Etcd reaches the mirrors. It stays its owner's, too. Nil: there are none.
	Etcd *clientv3.Client
	// EtcdPrefix begins all keys. Default "/tasktier".
	EtcdPrefix string
	// Log receives what an operator acts on. Default: nothing.
	Log *zap.Logger
}

// A reader is a consumer group and what it reads: a queue's, or the forwarders'.
type reader struct {
	queue  string // or Tiers
	group  string
	topics []string
	key    string // of its mirror
	log    *zap.Logger
}

func (in Installation) reader(queue string) reader {
	folder := names.EtcdPrefix(in.EtcdPrefix) + "/offsets/"
	log := in.Log
	if log == nil {
		log = zap.NewNop()
	}
	if queue == Tiers {
		return reader{
			group: names.RetryGroup(in.KafkaPrefix), topics: []string{names.RetryMinute(in.KafkaPrefix), names.RetryHour(in.KafkaPrefix)},
			key: folder + ".tiers", // no queue's name begins with a dot
			log: log.With(zap.String("queue", "(retry tiers)")),
		}
	}
	return reader{
		queue: queue, group: names.Group(in.KafkaPrefix, queue), topics: []string{names.Pending(queue)},
		key: folder + queue, log: log.With(zap.String("queue", queue)),
	}
}

// members counts who is in a consumer group.
func (in Installation) members(ctx context.Context, group string) (int, error) {
	groups, err := in.Kafka.DescribeGroups(ctx, group)
	if err == nil {
		err = groups[group].Err
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("describe group %s: %w", group, err)
	}
	return len(groups[group].Members), nil
}

// commit commits offsets for a group that nobody is in. [errBusy] says that somebody is.
func (in Installation) commit(ctx context.Context, r reader, to []Moved) error {
	if len(to) == 0 {
		return nil
	}
	offsets := make(kadm.Offsets)
	for _, m := range to {
		offsets.AddOffset(m.Topic, m.Partition, m.Offset, -1)
	}
	err := in.Kafka.CommitAllOffsets(ctx, r.group, offsets)
	for _, joined := range []error{kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.IllegalGeneration} {
		if errors.Is(err, joined) {
			return errBusy
		}
	}
	if err != nil {
		return fmt.Errorf("commit offsets of group %s: %w", r.group, err)
	}
	return nil
}

var errBusy = errors.New("the group has members")
