package topic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Apply creates what is missing and mends what differs, touching no other setting, and waits until what it created has
// leaders. Another's doing the same meanwhile does no harm. Run again, it goes on where it was stopped.
//
// Partitions are added to an ordered queue only if keyed allows it; else all the rest is done and the error is a
// [*KeyedError]. Findings to be mended [ByHand] stay. The error is an [*UnsafeError] if topics are unsafe in the end: they
// were created otherwise since the plan was made.
func (p Plan) Apply(ctx context.Context, adm *kadm.Client, keyed bool) error {
	if err := p.create(ctx, adm); err != nil {
		return err
	}
	var left []Finding
	var changed []string
	for _, t := range p.Topics {
		if t.Missing {
			changed = append(changed, t.Spec.Name)
		}
		if err := t.alter(ctx, adm); err != nil {
			return err
		}
		for _, f := range t.Findings {
			switch {
			case f.Mend == GrowKeyed && !keyed:
				left = append(left, f)
			case f.Mend == Grow, f.Mend == GrowKeyed:
				if err := t.grow(ctx, adm); err != nil {
					return err
				}
				changed = append(changed, t.Spec.Name)
			}
		}
	}
	after, err := settle(ctx, adm, p.specs, changed)
	if err != nil {
		return err
	}
	if unsafe := after.Unsafe(); len(unsafe) > 0 {
		return &UnsafeError{unsafe}
	}
	if len(left) > 0 {
		return &KeyedError{left}
	}
	return nil
}

// create makes the topics that are missing. One that is there by now is as good: it is looked at again afterwards.
func (p Plan) create(ctx context.Context, adm *kadm.Client) error {
	for _, t := range p.Missing() {
		settings := map[string]*string{}
		for _, s := range t.Spec.Settings {
			settings[s.Name] = &s.Value
		}
		r, err := adm.CreateTopic(ctx, t.Spec.Partitions, t.Spec.Replication, settings, t.Spec.Name)
		if err == nil || errors.Is(err, kerr.TopicAlreadyExists) || errors.Is(err, kerr.RequestTimedOut) {
			continue // after a timeout the creation goes on
		}
		if errors.Is(err, kerr.InvalidReplicationFactor) {
			return fmt.Errorf("create topic %s with replication factor %d: %w: lower kafka.replication, or start more brokers",
				t.Spec.Name, t.Spec.Replication, err)
		}
		return refused("create topic",
			"CREATE on it or on the cluster; or have an operator run `"+command(t.Spec.Queue)+"` and set kafka.create_topics: false",
			[]string{t.Spec.Name}, explained(err, r.ErrMessage))
	}
	return nil
}

func (t Topic) alter(ctx context.Context, adm *kadm.Client) error {
	var changes []kadm.AlterConfig
	for _, f := range t.Findings {
		for _, s := range t.Spec.Settings {
			if f.Setting == s.Name {
				changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: s.Name, Value: &s.Value})
			}
		}
	}
	if len(changes) == 0 {
		return nil
	}
	rs, err := adm.AlterTopicConfigs(ctx, changes, t.Spec.Name)
	var message string
	if err == nil {
		_, err = rs.On(t.Spec.Name, func(r *kadm.AlterConfigsResponse) error {
			message = r.ErrMessage
			return r.Err
		})
	}
	if err != nil {
		return refused("alter topic", "ALTER_CONFIGS on it", []string{t.Spec.Name}, explained(err, message))
	}
	return nil
}

func (t Topic) grow(ctx context.Context, adm *kadm.Client) error {
	rs, err := adm.UpdatePartitions(ctx, int(t.Spec.Partitions), t.Spec.Name)
	var message string
	if err == nil {
		_, err = rs.On(t.Spec.Name, func(r *kadm.CreatePartitionsResponse) error {
			message = r.ErrMessage
			return r.Err
		})
	}
	if err == nil {
		return nil
	}
	if now, e := Inspect(ctx, adm, []Spec{t.Spec}); e == nil && now.Topics[0].Partitions >= t.Spec.Partitions {
		return nil // another was faster
	}
	return refused("add partitions to topic", "ALTER on it", []string{t.Spec.Name}, explained(err, message))
}

// explained adds what the broker said, if it says more than the error.
func explained(err error, message string) error {
	if message == "" || strings.Contains(err.Error(), message) {
		return err
	}
	return fmt.Errorf("%w (%s)", err, message)
}

const (
	// leaderPatience bounds the wait for the leaders of new partitions.
	leaderPatience = 30 * time.Second
	// settingPatience bounds the wait for changed settings: the broker that is asked learns of them a little later
	// than the one that made the change.
	settingPatience = 2 * time.Second
)

// settle waits until the changed topics are there with a leader for each partition, and all are safe. It returns what it
// saw last. Topics that nobody changed may have partitions without a leader: that is for the consumer to sit out.
func settle(ctx context.Context, adm *kadm.Client, specs []Spec, changed []string) (Plan, error) {
	began, pause := time.Now(), 10*time.Millisecond
	for {
		plan, err := Inspect(ctx, adm, specs)
		if err != nil {
			return Plan{}, err
		}
		waiting := plan.withoutLeaders(changed)
		waited := time.Since(began)
		switch {
		case len(waiting) == 0 && (len(plan.Unsafe()) == 0 || waited > settingPatience):
			return plan, nil
		case waited > leaderPatience:
			return Plan{}, fmt.Errorf("wait for leaders of %s: none after %v; see the log of the Kafka controller",
				strings.Join(waiting, ", "), leaderPatience)
		}
		select {
		case <-ctx.Done():
			return Plan{}, fmt.Errorf("wait for leaders of %s: %w", strings.Join(waiting, ", "), context.Cause(ctx))
		case <-time.After(pause):
			pause = min(2*pause, 500*time.Millisecond)
		}
	}
}

func (p Plan) withoutLeaders(among []string) []string {
	var waiting []string
	for _, t := range p.Topics {
		if (t.Missing || !t.Ready) && slices.Contains(among, t.Spec.Name) {
			waiting = append(waiting, t.Spec.Name)
		}
	}
	return waiting
}
