package tasktier

import (
	"context"
	"errors"
	"time"

	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/nap"
	"github.com/tasktier/tasktier/internal/upkeep"
	"github.com/tasktier/tasktier/retry"
	"go.uber.org/zap"
)

// Run checks the topics, consumes until ctx ends, and drains. It returns nil on a clean stop, an [*UnreachableError] when a
// server does not answer at the start, a [*topic.UnsafeError] or [*topic.MissingError] when a topic can't be used, and an
// error that wraps [consumer.ErrAbandoned] when handlers had to be left behind.
//
// While operators have the node drained it runs nothing and is a member of no group; it stays in the registry.
func (n *Node) Run(ctx context.Context) error {
	n.announce()
	defer n.http.CloseIdleConnections()
	if err := n.ensureTopics(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop before it had begun
		}
		return err
	}
	web, err := n.listen(ctx)
	if err != nil {
		return err
	}
	defer web.close()
	for {
		again, err := n.belong(ctx, web.addr())
		if !again || ctx.Err() != nil {
			return err
		}
	}
}

// belong joins the cluster and serves, with pauses in which the node is drained, until ctx ends. It says whether to join
// again: a drain has left handlers behind, and their tasks are to be taken over, also by this process. To its next consumer
// they would be its own if it went on in the same session.
func (n *Node) belong(ctx context.Context, http string) (again bool, err error) {
	members, err := n.join(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return false, nil
		}
		return false, err
	}
	defer members.close()
	n.setMembers(members)
	defer n.setMembers(nil)
	for served := false; ; {
		serving, cancel, ok := members.undrained(ctx)
		if !ok {
			return false, nil
		}
		unknown := (*upkeep.UnknownOffsetError)(nil)
		switch err = n.resume(serving, members); {
		case err == nil:
			served = true
			err = n.serve(serving, members, http)
		case serving.Err() != nil:
			err = nil // told to stop before it had begun, or drained again
		case served && !errors.As(err, &unknown):
			n.log.Warn("can't go on after the drain; trying on", zap.Error(err))
			nap.For(serving, goOnEvery)
			err = nil
		}
		drained := serving.Err() != nil && ctx.Err() == nil
		cancel()
		if drained && errors.Is(err, consumer.ErrAbandoned) {
			n.log.Warn("the node is drained, and handlers have not returned: it opens another session, so that their tasks are taken over", zap.Error(err))
			return true, nil
		}
		if err != nil || ctx.Err() != nil {
			return false, err
		}
	}
}

// goOnEvery is the time between two tries of a node that was drained to look at its offsets.
const goOnEvery = 5 * time.Second

// serve does all that a node is there for until ctx ends, and drains.
func (n *Node) serve(ctx context.Context, members *membership, http string) error {
	schedules, err := n.schedule(ctx, members)
	if err != nil {
		return err
	}
	defer schedules.close() // before the membership ends, in whose name it leads
	n.setSchedules(schedules)
	defer n.setSchedules(nil)
	keeping, err := n.upkeep(ctx, members)
	if err != nil {
		return err
	}
	defer keeping.close()
	n.setUpkeep(keeping)
	defer n.setUpkeep(nil)
	cc := n.consumerConfig()
	if members != nil {
		cc.Limits = members.limits
	}
	if n.cfg.Redis != nil {
		cc.Claims, cc.Members, cc.Proceed = members.claims, members.coord, n.cfg.Redis.WhenAway == config.Proceed
	}
	c, err := consumer.New(cc)
	if err != nil {
		return err
	}
	f, err := retry.New(n.forwarderConfig())
	if err != nil {
		c.Close()
		return err
	}
	members.steer(c)
	defer members.steer(nil)
	n.set(c, f)
	defer n.set(nil, nil)
	n.log.Info("node runs", zap.String("node", n.cfg.Node.Name), zap.Strings("queues", n.queueNames()),
		zap.Strings("types", n.mux.Types()), zap.Int("concurrency", n.cfg.Node.Concurrency), zap.String("http", http))

	// The forwarder outlives the consumer, whose last retries it may bring back for the other nodes.
	forwarding, stopForwarding := context.WithCancel(context.WithoutCancel(ctx))
	defer stopForwarding()
	forwarded := make(chan error, 1)
	go func() { forwarded <- f.Run(forwarding) }()
	err = c.Run(ctx)
	stopForwarding()
	err = errors.Join(err, <-forwarded)
	n.mirror(ctx, keeping, members)
	n.log.Info("node stopped", zap.String("node", n.cfg.Node.Name), zap.Error(err))
	return err
}
