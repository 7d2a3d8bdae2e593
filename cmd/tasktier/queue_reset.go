package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/tasktier/tasktier/internal/upkeep"
	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/zap/zapcore"
)

func (c *cli) queueResetCommand() *cobra.Command {
	to := choice{among: []string{string(upkeep.Start), string(upkeep.End)}}
	var yes bool
	cmd := &cobra.Command{
		Use:   "reset QUEUE --to (start or end)",
		Short: "Decide where a queue goes on whose offsets nobody knows",
		Long: `Decide where a queue goes on whose offsets nobody knows: Kafka forgets how far a queue was worked off when no node
has run for 7 days, and nodes refuse to start if etcd does not remember it either. Partitions of which one of them knows
go on there.

--to start   what is left in those partitions runs, finished or not
--to end     what is in those partitions is given up, finished or not

All nodes of the queue must be stopped. It asks first, and needs --yes where nobody can be asked.`,
		Example: `  tasktier queue reset mail --to start`,
		Args:    takes("QUEUE"),
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if to.value == "" {
				return misused(cmd, errors.New("where to? Say --to start, so that what is left runs, or --to end, so that it is given up"))
			}
			return nil
		},
		RunE: c.does(func(ctx context.Context, args []string) error {
			return c.queueReset(ctx, args[0], upkeep.Position(to.value), yes)
		}),
	}
	cmd.Flags().Var(&to, "to", "`WHERE` the partitions go on: start or end")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (c *cli) queueReset(ctx context.Context, queue string, to upkeep.Position, yes bool) error {
	c.queue, c.queueGiven = queue, true
	cfg, adm, plan, err := c.topics(ctx)
	if err != nil {
		return err
	}
	defer adm.Close()
	if missing := pendingOf(plan.Missing()); len(missing) > 0 {
		return &topic.MissingError{Topics: missing}
	}
	in, done, err := c.installation(ctx, cfg, adm)
	if err != nil {
		return err
	}
	defer done()
	moved, err := upkeep.PlanReset(ctx, in, queue, to)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(moved, func(m upkeep.Moved) bool { return !m.Mirrored }) {
		c.prose("Nothing to decide: Kafka or etcd knows how far each partition of queue %s is.", queue)
		return nil
	}
	if !yes {
		if err := c.confirm(resetQuestion(queue, to, moved)); err != nil {
			return err
		}
	}
	moved, err = upkeep.Reset(ctx, in, queue, to)
	if err != nil && moved == nil {
		return err
	}
	if err := c.showMoved(moved); err != nil {
		return err
	}
	if err != nil {
		return partly("the offsets are set, but their mirror in etcd is not; the first node that leads mends it: %v", err)
	}
	return nil
}

func resetQuestion(queue string, to upkeep.Position, moved []upkeep.Moved) string {
	records, partitions := int64(0), 0
	for _, m := range moved {
		if !m.Mirrored {
			records += m.End - m.Start
			partitions++
		}
	}
	what := "Run what is left"
	if to == upkeep.End {
		what = "Give up what is"
	}
	return fmt.Sprintf("%s in %d partitions of queue %s, %d records, finished or not?", what, partitions, queue, records)
}

// installation is where the queues of a configuration are, with etcd if it is configured; the caller calls done.
func (c *cli) installation(ctx context.Context, cfg configuration, adm *kadm.Client) (in upkeep.Installation, done func(), err error) {
	in = upkeep.Installation{Kafka: adm, KafkaPrefix: cfg.Kafka.Prefix, Log: c.logger(zapcore.WarnLevel)}
	if cfg.Etcd == nil {
		return in, func() {}, nil
	}
	etcd, err := openEtcd(ctx, cfg)
	if err != nil {
		return in, nil, err
	}
	in.Etcd, in.EtcdPrefix = etcd, cfg.Etcd.Prefix
	return in, func() { etcd.Close() }, nil
}

// A movedRow is a partition whose offset was set, as JSON shows it.
type movedRow struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Start     int64  `json:"start"`
	End       int64  `json:"end"`
	Mirrored  bool   `json:"mirrored"` // etcd knew the offset
}

func (c *cli) showMoved(moved []upkeep.Moved) error {
	w := newTable("topic", "partition", "offset", "start", "end", "known by")
	for _, m := range moved {
		if !c.json() {
			by := "-"
			if m.Mirrored {
				by = "etcd"
			}
			w.AppendRow([]any{m.Topic, m.Partition, m.Offset, m.Start, m.End, by})
			continue
		}
		if err := c.object(movedRow(m)); err != nil {
			return err
		}
	}
	if c.json() {
		return nil
	}
	return c.data([]byte(w.Render() + "\n"))
}

// pendingOf leaves only the topics of tasks that are ready to run.
func pendingOf(topics []topic.Topic) []topic.Topic {
	var pending []topic.Topic
	for _, t := range topics {
		if t.Spec.Queue != "" && t.Spec.Group != "" {
			pending = append(pending, t)
		}
	}
	return pending
}
