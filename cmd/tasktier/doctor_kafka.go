package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func examineKafka(ctx context.Context, cfg config.Config) []diagnosis {
	client, err := connect(ctx, cfg.Kafka)
	if unreachable := (*tasktier.UnreachableError)(nil); errors.As(err, &unreachable) {
		return []diagnosis{away("kafka", unreachable.Addresses, rootCause(unreachable.Err))}
	}
	if err != nil {
		return []diagnosis{bad("kafka", "correct the kafka section of the configuration", "%v", err)}
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	found := examineBrokers(ctx, adm)
	found = append(found, examineTopics(ctx, adm, cfg)...)
	return append(found, examinePermissions(ctx, adm, cfg)...)
}

// examineBrokers asks every broker of the cluster, not only those that the configuration names.
func examineBrokers(ctx context.Context, adm *kadm.Client) []diagnosis {
	versions, err := adm.ApiVersions(ctx)
	if err != nil {
		return []diagnosis{bad("kafka brokers", "look at the brokers' log", "can't be listed: %v", err)}
	}
	var found []diagnosis
	versions.Each(func(v kadm.BrokerApiVersions) {
		check := fmt.Sprintf("kafka broker %d", v.NodeID)
		if v.Err != nil {
			found = append(found, bad(check, "start it; its listener must be reachable from here", "does not answer: %v", v.Err))
			return
		}
		found = append(found, ok(check, "answers, version %s", v.VersionGuess()))
	})
	slices.SortFunc(found, func(a, b diagnosis) int { return strings.Compare(a.Check, b.Check) })
	return found
}

func examineTopics(ctx context.Context, adm *kadm.Client, cfg config.Config) []diagnosis {
	plan, err := topic.Inspect(ctx, adm, tasktier.Topics(cfg))
	if err != nil {
		return []diagnosis{bad("topics", "grant DESCRIBE and DESCRIBE_CONFIGS on them", "can't be inspected: %v", err)}
	}
	var found []diagnosis
	for _, t := range plan.Topics {
		check, mend := "topic "+t.Spec.Name, "mend it with: tasktier topic apply --queue "+t.Spec.Queue
		switch {
		case t.Missing && cfg.Kafka.CreateTopics:
			found = append(found, ok(check, "missing; the first node creates it"))
		case t.Missing:
			found = append(found, bad(check, "create it with: tasktier topic apply --queue "+t.Spec.Queue, "missing"))
		case len(t.Findings) == 0:
			found = append(found, ok(check, "%d partitions, %d replicas, safe", t.Partitions, t.Replication))
		}
		for _, f := range t.Findings {
			message := fmt.Sprintf("%s is %s, must be %s: %s", f.Setting, f.Have, f.Want, f.Why)
			switch {
			case f.Unsafe:
				found = append(found, bad(check, mend, "%s", message))
			case f.Mend == topic.ByHand:
				found = append(found, doubtful(check, "", "%s", message))
			default:
				found = append(found, doubtful(check, mend, "%s", message))
			}
		}
	}
	return found
}

// needed are the operations that a node needs on the topics of its queues.
var needed = []kmsg.ACLOperation{kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs}

// examinePermissions compares what brokers say this user may do with what a node does. Brokers that don't say are left
// alone.
func examinePermissions(ctx context.Context, adm *kadm.Client, cfg config.Config) []diagnosis {
	var wanted, lacking, untrimmed []string
	trimmed := make(map[string]bool)
	for _, s := range tasktier.Topics(cfg) {
		wanted = append(wanted, s.Name)
		trimmed[s.Name] = s.Group != ""
	}
	meta, err := adm.Metadata(kadm.WithAuthorizedOps(ctx), wanted...)
	if err != nil {
		return nil // the topics' own check has said so
	}
	told := false
	for _, name := range wanted {
		t, there := meta.Topics[name]
		if !there || t.Err != nil || len(t.AuthorizedOperations) == 0 {
			continue
		}
		told = true
		may := func(op kmsg.ACLOperation) bool {
			return slices.Contains(t.AuthorizedOperations, op) || slices.Contains(t.AuthorizedOperations, kmsg.ACLOperationAll)
		}
		for _, op := range needed {
			if !may(op) {
				lacking = append(lacking, fmt.Sprintf("%v on %s", op, name))
			}
		}
		if trimmed[name] && !may(kmsg.ACLOperationDelete) {
			untrimmed = append(untrimmed, name)
		}
	}
	switch {
	case len(lacking) > 0:
		return []diagnosis{bad("kafka permissions", "grant them to this user", "a node needs %s", strings.Join(lacking, ", "))}
	case len(untrimmed) > 0:
		return []diagnosis{doubtful("kafka permissions", "grant this user DELETE on them", "nothing is trimmed, and finished tasks stay for ever in %s", strings.Join(untrimmed, ", "))}
	case told:
		return []diagnosis{ok("kafka permissions", "enough on the queues' topics")}
	}
	return nil
}
