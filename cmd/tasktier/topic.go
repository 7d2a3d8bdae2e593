package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/twmb/franz-go/pkg/kadm"
)

func (c *cli) topicCommand() *cobra.Command {
	cmd := noun(&cobra.Command{
		Use:   "topic",
		Short: "Compare, create, mend and trim the topics of the queues",
		Long: `Compare, create, mend and trim the topics of the queues: QUEUE.pending and QUEUE.dead, and the retry tiers.

With --queue only that queue's topics, else those of all configured queues.`,
	})
	var yes, grow bool
	apply := &cobra.Command{
		Use:   "apply",
		Short: "Create the topics that are missing and mend those that differ",
		Long: `Create the topics that are missing and mend those that differ; no other setting is touched.

Altering a topic that exists asks first, and needs --yes where nobody can be asked.`,
		Example: `  tasktier topic apply
  tasktier topic apply --queue mail --yes`,
		Args: takes(),
		RunE: c.does(func(ctx context.Context, _ []string) error { return c.topicApply(ctx, yes, grow) }),
	}
	apply.Flags().BoolVarP(&yes, "yes", "y", false, "alter existing topics without asking")
	apply.Flags().BoolVar(&grow, "grow-ordered", false, "add partitions to ordered queues too; newer tasks may overtake older ones of their key")
	cmd.AddCommand(
		&cobra.Command{
			Use:     "plan",
			Short:   "Show what apply would create and alter",
			Example: `  tasktier topic plan -o json`,
			Args:    takes(),
			RunE:    c.does(c.topicPlan),
		},
		apply,
		&cobra.Command{
			Use:   "check",
			Short: "Exit 1 where a topic could lose unfinished work",
			Long: `Exit 1 where a topic could lose unfinished work, or is missing while kafka.create_topics is false.
Names consumer groups of others that read a queue's tasks: name them in queues.NAME.keep_for, or they miss what is trimmed
once it is finished.`,
			Example: `  tasktier topic check && tasktier run`,
			Args:    takes(),
			RunE:    c.does(c.topicCheck),
		},
		c.topicTrimCommand(),
	)
	return cmd
}

// topics are those to look at, and a client to do it with.
func (c *cli) topics(ctx context.Context) (cfg configuration, adm *kadm.Client, plan topic.Plan, err error) {
	if cfg, err = c.load(); err != nil {
		return cfg, nil, plan, err
	}
	if err = c.narrow(&cfg); err != nil {
		return cfg, nil, plan, err
	}
	client, err := connect(ctx, cfg.Kafka)
	if err != nil {
		return cfg, nil, plan, err
	}
	adm = kadm.NewClient(client)
	if plan, err = topic.Inspect(ctx, adm, tasktier.Topics(cfg.Config)); err != nil {
		client.Close()
		return cfg, nil, plan, err
	}
	return cfg, adm, plan, nil
}

func (c *cli) topicPlan(ctx context.Context, _ []string) error {
	_, adm, plan, err := c.topics(ctx)
	if err != nil {
		return err
	}
	defer adm.Close()
	return c.showPlan(plan, nil)
}

func (c *cli) topicApply(ctx context.Context, yes, grow bool) error {
	cfg, adm, plan, err := c.topics(ctx)
	if err != nil {
		return err
	}
	defer adm.Close()
	if err := c.showPlan(plan, nil); err != nil {
		return err
	}
	create, alter := work(plan)
	if create+alter == 0 {
		c.prose("Nothing to do.")
		return nil
	}
	if alter > 0 && !yes {
		if err := c.confirm(fmt.Sprintf("Alter %d existing topics?", alter)); err != nil {
			return err
		}
	}
	if err := plan.Apply(ctx, adm, grow); err != nil {
		return growHint(err)
	}
	after, err := topic.Inspect(ctx, adm, tasktier.Topics(cfg.Config))
	if err != nil {
		return err
	}
	c.prose("Done: %d created, %d altered.", create, alter)
	for _, t := range after.Topics {
		for _, f := range t.Findings {
			c.prose("Left as it is: %v", f)
		}
	}
	return nil
}

// growHint adds the flag that would have let partitions be added.
func growHint(err error) error {
	if keyed := (*topic.KeyedError)(nil); errors.As(err, &keyed) {
		return fmt.Errorf("%w; add them all the same with: tasktier topic apply --grow-ordered --queue %s", err, keyed.Findings[0].Queue)
	}
	return err
}

// work counts the topics that a plan creates and alters.
func work(plan topic.Plan) (create, alter int) {
	for _, t := range plan.Topics {
		if t.Missing {
			create++
			continue
		}
		for _, f := range t.Findings {
			if f.Mend != topic.ByHand {
				alter++
				break
			}
		}
	}
	return create, alter
}

func (c *cli) topicCheck(ctx context.Context, _ []string) error {
	cfg, adm, plan, err := c.topics(ctx)
	if err != nil {
		return err
	}
	defer adm.Close()
	foreign := map[string][]string{}
	for _, t := range plan.Topics {
		if t.Missing || t.Spec.Group == "" {
			continue
		}
		if foreign[t.Spec.Name], err = topic.Foreign(ctx, adm, t.Spec.Name, t.Spec.Group); err != nil {
			return err
		}
	}
	if err := c.showPlan(plan, foreign); err != nil {
		return err
	}
	if unsafe := plan.Unsafe(); len(unsafe) > 0 {
		return &topic.UnsafeError{Findings: unsafe}
	}
	if missing := plan.Missing(); len(missing) > 0 && !cfg.Kafka.CreateTopics {
		return &topic.MissingError{Topics: missing}
	}
	return nil
}

// confirm asks a question on a terminal. Where nobody can be asked, it is wrong usage not to have given --yes.
func (c *cli) confirm(question string) error {
	if !terminal(c.stdin) || !terminal(c.stderr) {
		return wrong("%s Nobody can be asked here: give --yes", question)
	}
	fmt.Fprintf(c.stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(c.stdin).ReadString('\n')
	if err == nil && strings.EqualFold(strings.TrimSpace(answer), "y") || strings.EqualFold(strings.TrimSpace(answer), "yes") {
		return nil
	}
	return errors.New("nothing was changed")
}
