package topic_test

import (
	"slices"
	"testing"

	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// fake starts a fake cluster of n brokers.
func fake(t *testing.T, n int, opts ...kfake.Opt) (*kfake.Cluster, *kadm.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(n)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster, client(t, cluster.ListenAddrs())
}

func client(t *testing.T, brokers []string, opts ...kgo.Opt) *kadm.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

// tasks is the queue of most tests, small for speed.
var tasks = topic.Queue{Name: "tasks", Partitions: 3, MaxBytes: 1 << 20}

func specs(queues ...topic.Queue) []topic.Spec { return topic.Specs("tasktier", queues) }

func inspect(t *testing.T, adm *kadm.Client, specs []topic.Spec) topic.Plan {
	t.Helper()
	plan, err := topic.Inspect(t.Context(), adm, specs)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// ensured has the topics created as a node does.
func ensured(t *testing.T, adm *kadm.Client, specs []topic.Spec) {
	t.Helper()
	if err := topic.Ensure(t.Context(), adm, specs, true); err != nil {
		t.Fatal(err)
	}
}

func set(t *testing.T, adm *kadm.Client, name, setting, value string) {
	t.Helper()
	r, err := adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: setting, Value: &value}}, name)
	if err == nil {
		_, err = r.On(name, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		t.Fatal(err)
	}
}

// setOn are the settings that were set on the topic itself, but for those of the broker.
func setOn(t *testing.T, adm *kadm.Client, name string) map[string]string {
	t.Helper()
	rs, err := adm.DescribeTopicConfigs(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, c := range rs[0].Configs {
		if c.Source.String() == "DYNAMIC_TOPIC_CONFIG" {
			settings[c.Key] = c.MaybeValue()
		}
	}
	return settings
}

func partitions(t *testing.T, adm *kadm.Client, name string) int {
	t.Helper()
	topics, err := adm.ListTopics(kadm.WithAuthorizedOps(t.Context()), name)
	if err != nil {
		t.Fatal(err)
	}
	return len(topics[name].Partitions)
}

// actions are what a plan has for its topics, in order.
func actions(p topic.Plan) []topic.Action {
	var as []topic.Action
	for _, t := range p.Topics {
		as = append(as, t.Action())
	}
	return as
}

func wantActions(t *testing.T, p topic.Plan, want ...topic.Action) {
	t.Helper()
	if got := actions(p); !slices.Equal(got, want) {
		t.Errorf("plan has %v, want %v; findings:", got, want)
		for _, topic := range p.Topics {
			for _, f := range topic.Findings {
				t.Log(f)
			}
		}
	}
}
