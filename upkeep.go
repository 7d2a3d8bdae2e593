package tasktier

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tasktier/tasktier/internal/upkeep"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// An upkeeping is the part that a node takes in the upkeep of its queues and of the retry tiers: of each, it leads or waits
// to lead.
type upkeeping struct {
	client  *kgo.Client
	duties  map[string]*upkeep.Duty // by queue, or upkeep.Tiers
	stop    context.CancelFunc
	leading sync.WaitGroup
}

// installation is where queues and their offsets are, as a client of Kafka reaches them.
func (n *Node) installation(client *kgo.Client, m *membership) upkeep.Installation {
	in := upkeep.Installation{Kafka: kadm.NewClient(client), KafkaPrefix: n.cfg.Kafka.Prefix, Log: n.log}
	if m != nil {
		in.Etcd, in.EtcdPrefix = m.etcd, n.cfg.Etcd.Prefix
	}
	return in
}

// resume gives the groups their offsets back that Kafka has forgotten, or says that nobody knows them.
func (n *Node) resume(ctx context.Context, m *membership) error {
	client, err := kgo.NewClient(n.kafka...)
	if err != nil {
		return fmt.Errorf("configure kafka: %w", err)
	}
	defer client.Close()
	return n.unresumed(upkeep.Resume(ctx, n.installation(client, m), append(n.queueNames(), upkeep.Tiers)...))
}

// unresumed is what an error of resume means to those who start nodes: whether another start may be better.
func (n *Node) unresumed(err error) error {
	if unknown := (*upkeep.UnknownOffsetError)(nil); errors.As(err, &unknown) || !upkeep.Passing(err) {
		return err
	}
	return &UnreachableError{Server: "kafka", Addresses: n.cfg.Kafka.Brokers, Err: err}
}

// mirrorPatience bounds the last mirroring of a node that stops.
const mirrorPatience = 3 * time.Second

// mirror has the mirrors of offsets follow what this node committed last.
func (n *Node) mirror(ctx context.Context, u *upkeeping, m *membership) {
	if u == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mirrorPatience)
	defer cancel()
	if err := upkeep.Mirror(ctx, n.installation(u.client, m), append(n.queueNames(), upkeep.Tiers)...); err != nil {
		n.log.Warn("what this node committed last is not mirrored in etcd; the next node that leads does it", zap.Error(err))
	}
}

// upkeep begins it; nil without etcd. It steps down when ctx ends, so as soon as the node drains.
func (n *Node) upkeep(ctx context.Context, m *membership) (*upkeeping, error) {
	if m == nil {
		return nil, nil
	}
	client, err := kgo.NewClient(n.kafka...)
	if err != nil {
		return nil, fmt.Errorf("configure kafka: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	u := &upkeeping{client: client, duties: make(map[string]*upkeep.Duty), stop: stop}
	in := n.installation(client, m)
	for _, queue := range append(n.queueNames(), upkeep.Tiers) {
		cfg := upkeep.Config{Installation: in, Queue: queue}
		if queue != upkeep.Tiers {
			q := n.cfg.Queues[queue]
			cfg.Trimming = upkeep.Trimming{History: q.History, KeepFor: q.KeepFor}
		}
		if u.duties[queue], err = upkeep.New(cfg); err != nil {
			u.close()
			return nil, err
		}
	}
	for _, d := range u.duties {
		u.leading.Go(func() {
			if err := m.coord.Lead(ctx, d.Name(), d.Lead); err != nil {
				n.log.Error("nobody here looks after finished records and offsets", zap.String("duty", d.Name()), zap.Error(err))
			}
		})
	}
	return u, nil
}

// close waits until nothing is led any more.
func (u *upkeeping) close() {
	if u == nil {
		return
	}
	u.stop()
	u.leading.Wait()
	u.client.Close()
}

func (n *Node) setUpkeep(u *upkeeping) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keeping = u
}

func (n *Node) setMembers(m *membership) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.members = m
}
