package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/tasktier/tasktier/internal/upkeep"
	"go.uber.org/zap/zapcore"
)

func (c *cli) topicTrimCommand() *cobra.Command {
	var dryRun, yes bool
	cmd := &cobra.Command{
		Use:   "trim",
		Short: "Delete the records of finished tasks now, as nodes do each minute",
		Long: `Delete the records of finished tasks now, as nodes do each minute: those that every task up to them is finished of,
that are older than queues.NAME.history, and that the groups of queues.NAME.keep_for have read. In the retry tiers, those
that were forwarded. With --queue only that queue's, and not the tiers'.

Printed is for each partition that has records from which offset to which one it is trimmed, and what keeps the rest:
unfinished, history, or a group. It asks first, and needs --yes where nobody can be asked.`,
		Example: `  tasktier topic trim --dry-run
  tasktier topic trim --queue mail --yes`,
		Args: takes(),
		RunE: c.does(func(ctx context.Context, _ []string) error { return c.topicTrim(ctx, dryRun, yes) }),
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be deleted")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (c *cli) topicTrim(ctx context.Context, dryRun, yes bool) error {
	cfg, adm, state, err := c.topics(ctx)
	if err != nil {
		return err
	}
	defer adm.Close()
	in := upkeep.Installation{Kafka: adm, KafkaPrefix: cfg.Kafka.Prefix, Log: c.logger(zapcore.WarnLevel)}
	plans, err := c.planTrim(ctx, cfg, in, state.Missing())
	if err != nil {
		return err
	}
	records := int64(0)
	for _, p := range plans {
		records += p.Records()
	}
	if dryRun || records == 0 {
		if err := c.showTrim(plans, nil); err != nil {
			return err
		}
		if records == 0 {
			c.prose("Nothing to trim.")
		}
		return nil
	}
	if !yes {
		if err := c.confirm(fmt.Sprintf("Delete %d records of finished tasks for good?", records)); err != nil {
			return err
		}
	}
	return c.trimmed(plans, upkeep.Trim(ctx, in, plans))
}

// planTrim plans for the queues of the configuration, and for the tiers unless a queue was named.
func (c *cli) planTrim(ctx context.Context, cfg configuration, in upkeep.Installation, missing []topic.Topic) ([]upkeep.TrimPlan, error) {
	queues := slices.Sorted(maps.Keys(cfg.Queues))
	if !c.queueGiven {
		queues = append(queues, upkeep.Tiers)
	}
	var plans []upkeep.TrimPlan
	for _, queue := range queues {
		if i := slices.IndexFunc(missing, func(t topic.Topic) bool { return t.Spec.Queue == queue && t.Spec.Group != "" }); i >= 0 {
			c.prose("%s is not there yet.", missing[i].Spec.Name)
			continue
		}
		q := cfg.Queues[queue] // of the tiers: zero
		some, err := upkeep.PlanTrim(ctx, in, queue, upkeep.Trimming{History: q.History, KeepFor: q.KeepFor})
		if err != nil {
			return nil, err
		}
		plans = append(plans, some...)
	}
	return plans, nil
}

// trimmed shows what became of a plan.
func (c *cli) trimmed(plans []upkeep.TrimPlan, results []upkeep.TrimResult) error {
	failed := make(map[string]map[int32]error)
	var errs []error
	done := int64(0)
	for _, r := range results {
		if r.Err == nil {
			done += r.Records()
			continue
		}
		if failed[r.Topic] == nil {
			failed[r.Topic] = make(map[int32]error)
		}
		failed[r.Topic][r.Partition] = r.Err
		if !slices.ContainsFunc(errs, func(err error) bool { return err.Error() == r.Err.Error() }) {
			errs = append(errs, r.Err)
		}
	}
	if err := c.showTrim(plans, failed); err != nil {
		return err
	}
	switch err := errors.Join(errs...); {
	case err == nil:
		c.prose("Done: %d records deleted.", done)
		return nil
	case done > 0:
		return partly("done in part: %d records deleted\n%v", done, err)
	default:
		return err
	}
}

// A trimRow is a partition as JSON shows it.
type trimRow struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Start     int64  `json:"start"`           // the oldest record there is, or was
	Target    int64  `json:"target"`          // the oldest one that stays
	End       int64  `json:"end"`             // the next one to come
	Records   int64  `json:"records"`         // that are deleted
	Kept      string `json:"kept,omitempty"`  // what keeps the rest
	Error     string `json:"error,omitempty"` // why it was not done
}

// showTrim prints a plan, with what failed of it, without the partitions that have no records.
func (c *cli) showTrim(plans []upkeep.TrimPlan, failed map[string]map[int32]error) error {
	w := newTable("topic", "partition", "from", "to", "end", "records", "rest kept for")
	for _, p := range plans {
		if p.End == p.Start && p.Kept != upkeep.KeptSilent {
			continue
		}
		row := trimRow{Topic: p.Topic, Partition: p.Partition, Start: p.Start, Target: p.Target, End: p.End, Records: p.Records(), Kept: p.Kept}
		if p.Target == p.End && p.Kept != upkeep.KeptSilent {
			row.Kept = "" // there is no rest
		}
		if err := failed[p.Topic][p.Partition]; err != nil {
			row.Error = err.Error()
		}
		if c.json() {
			if err := c.object(row); err != nil {
				return err
			}
			continue
		}
		kept := row.Kept
		if kept == "" {
			kept = "-"
		}
		if row.Error != "" {
			kept = "failed"
		}
		w.AppendRow([]any{row.Topic, row.Partition, row.Start, row.Target, row.End, row.Records, printable(kept)})
	}
	if c.json() {
		return nil
	}
	return c.data([]byte(w.Render() + "\n"))
}
