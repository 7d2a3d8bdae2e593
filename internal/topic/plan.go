package topic

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// A Plan compares specs with a cluster, topic by topic in the order of the specs.
type Plan struct {
	Topics []Topic

	specs []Spec // as they were given
}

// A Topic is a spec beside what a cluster has.
type Topic struct {
	// Spec is as it applies to this cluster: with its replication factor, and with what it follows taken into account.
	Spec Spec
	// Missing: it is not there; what follows is zero.
	Missing bool
	// Ready: every partition has a leader.
	Ready       bool
	Partitions  int32
	Replication int16 // the least of its partitions'
	Findings    []Finding
}

// An Action is what a plan has for a topic.
type Action string

// The actions. A topic that is unsafe is altered too.
const (
	OK     Action = "ok"
	Create Action = "create"
	Change Action = "alter"
	Unsafe Action = "unsafe"
)

// Action is what is to be done about the topic.
func (t Topic) Action() Action {
	action := OK
	if t.Missing {
		return Create
	}
	for _, f := range t.Findings {
		if f.Unsafe {
			return Unsafe
		}
		action = Change
	}
	return action
}

// Unsafe are the findings for which a node refuses to start.
func (p Plan) Unsafe() []Finding {
	var found []Finding
	for _, t := range p.Topics {
		for _, f := range t.Findings {
			if f.Unsafe {
				found = append(found, f)
			}
		}
	}
	return found
}

// Missing are the topics that are not there.
func (p Plan) Missing() []Topic {
	var missing []Topic
	for _, t := range p.Topics {
		if t.Missing {
			missing = append(missing, t)
		}
	}
	return missing
}

// Inspect compares specs with the cluster. It changes nothing. It fails with an [*AccessError] where the user may not
// see the topics.
func Inspect(ctx context.Context, adm *kadm.Client, specs []Spec) (Plan, error) {
	plan := Plan{specs: specs}
	wanted := make([]string, len(specs))
	for i, s := range specs {
		wanted[i] = s.Name
	}
	if len(wanted) == 0 {
		return plan, nil // asking for no topic would be asking for all
	}
	// Asked with authorized operations, metadata comes from a broker and not from the client's cache.
	meta, err := adm.Metadata(kadm.WithAuthorizedOps(ctx), wanted...)
	if err != nil {
		return Plan{}, refused("describe topics", "DESCRIBE on them", wanted, err)
	}
	var there []string
	for _, name := range wanted {
		switch err := meta.Topics[name].Err; {
		case err == nil:
			there = append(there, name)
		case errors.Is(err, kerr.UnknownTopicOrPartition), kerr.IsRetriable(err): // being created counts as missing
		default:
			return Plan{}, fmt.Errorf("describe topic %s: %w", name, err)
		}
	}
	settings, err := settingsOf(ctx, adm, there)
	if err != nil {
		return Plan{}, err
	}
	for _, s := range specs {
		s = s.resolve(len(meta.Brokers))
		if leader, ok := settings[s.Follows]; ok {
			maxBytes, _ := number(leader[maxMessageBytes])
			s = s.following(int32(len(meta.Topics[s.Follows].Partitions)), maxBytes)
		}
		t := Topic{Spec: s, Missing: true}
		if have, ok := settings[s.Name]; ok {
			t = describe(s, meta.Topics[s.Name], have)
		}
		plan.Topics = append(plan.Topics, t)
	}
	return plan, nil
}

func describe(s Spec, d kadm.TopicDetail, settings map[string]string) Topic {
	t := Topic{Spec: s, Ready: true, Partitions: int32(len(d.Partitions)), Replication: int16(d.Partitions.NumReplicas())}
	for _, p := range d.Partitions {
		t.Replication = min(t.Replication, int16(len(p.Replicas)))
		t.Ready = t.Ready && p.Err == nil && p.Leader >= 0
	}
	t.Findings = compare(s, t.Partitions, t.Replication, settings)
	return t
}

// settingsOf are the settings in force of each topic, whether set on the topic or the broker's default. A topic that is
// not there, or is gone since, is left out.
func settingsOf(ctx context.Context, adm *kadm.Client, topics []string) (map[string]map[string]string, error) {
	const doing, needs = "read the settings of topics", "DESCRIBE_CONFIGS on them"
	configs, err := adm.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return nil, refused(doing, needs, topics, err)
	}
	all := make(map[string]map[string]string, len(configs))
	for _, c := range configs {
		if errors.Is(c.Err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if c.Err != nil {
			return nil, refused(doing, needs, []string{c.Name}, c.Err)
		}
		all[c.Name] = make(map[string]string, len(c.Configs))
		for _, set := range c.Configs {
			all[c.Name][set.Key] = set.MaybeValue()
		}
	}
	return all, nil
}
