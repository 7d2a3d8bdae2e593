package tasktier

import (
	"context"
	"errors"

	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
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
	members, err := n.join(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer members.close()
	n.setMembers(members)
	defer n.setMembers(nil)
	for ctx.Err() == nil {
		serving, cancel, ok := members.undrained(ctx)
		if !ok {
			return nil
		}
		err := n.serve(serving, members, web.addr())
		drained := serving.Err() != nil && ctx.Err() == nil
		cancel()
		if err != nil && !(drained && errors.Is(err, consumer.ErrAbandoned)) {
			return err
		}
		if err != nil {
			n.log.Warn("the node is drained, and handlers have not returned", zap.Error(err))
		}
	}
	return nil
}

// serve does all that a node is there for until ctx ends, and drains.
func (n *Node) serve(ctx context.Context, members *membership, http string) error {
	if err := n.resume(ctx, members); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
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
