package topic_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/topic"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

func TestEnsureWithoutLeaveToCreate(t *testing.T) {
	_, adm := fake(t, 1)
	ensured(t, adm, specs(tasks)[:1])
	err := topic.Ensure(t.Context(), adm, specs(tasks), false)
	if _, ok := errors.AsType[*topic.MissingError](err); !ok {
		t.Fatalf("got %T, want *MissingError", err)
	}
	if want := "topic tasks.dead: missing; create it with: tasktier topic apply --queue tasks"; err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	wantActions(t, inspect(t, adm, specs(tasks)), topic.OK, topic.Create)
}

func TestEnsureCreatesNothingBesideAnUnsafeTopic(t *testing.T) {
	_, adm := fake(t, 1, kfake.SeedTopics(1, "tasks.pending"))
	if err := topic.Ensure(t.Context(), adm, specs(tasks), true); err == nil {
		t.Error("an unsafe topic was accepted")
	}
	wantActions(t, inspect(t, adm, specs(tasks)), topic.Unsafe, topic.Create)
}

func TestEnsureRaces(t *testing.T) {
	cluster, _ := fake(t, 3)
	var nodes sync.WaitGroup
	for range 8 {
		adm := client(t, cluster.ListenAddrs())
		nodes.Go(func() {
			if err := topic.Ensure(t.Context(), adm, specs(tasks), true); err != nil {
				t.Error(err)
			}
		})
	}
	nodes.Wait()
}

// Somebody else creates the topic between the look and the creation, with the broker's defaults.
func TestApplyLooksAgain(t *testing.T) {
	_, adm := fake(t, 1)
	stale := inspect(t, adm, specs(tasks))
	if _, err := adm.CreateTopic(t.Context(), 3, 1, nil, "tasks.pending"); err != nil {
		t.Fatal(err)
	}
	err := stale.Apply(t.Context(), adm, false)
	if unsafe, ok := errors.AsType[*topic.UnsafeError](err); !ok || unsafe.Findings[0].Topic != "tasks.pending" {
		t.Errorf("got %v, want the topic that was made otherwise called unsafe", err)
	}
	if err := inspect(t, adm, specs(tasks)).Apply(t.Context(), adm, false); err != nil {
		t.Errorf("run again: %v", err)
	}
}

func TestApplyGrows(t *testing.T) {
	_, adm := fake(t, 1)
	ensured(t, adm, specs(tasks))
	more := tasks
	more.Partitions = 5
	plan := inspect(t, adm, specs(more))
	wantActions(t, plan, topic.Change, topic.OK)
	for range 2 { // the second with a plan that another has carried out
		if err := plan.Apply(t.Context(), adm, false); err != nil {
			t.Fatal(err)
		}
		if got := partitions(t, adm, "tasks.pending"); got != 5 {
			t.Errorf("%d partitions, want 5", got)
		}
	}
	wantActions(t, inspect(t, adm, specs(tasks)), topic.OK, topic.OK) // more than wanted is fine
}

func TestApplyGrowsOrderedQueuesOnlyWhenTold(t *testing.T) {
	_, adm := fake(t, 1)
	ordered := tasks
	ordered.Ordered = true
	ensured(t, adm, specs(ordered))
	set(t, adm, "tasks.pending", "retention.ms", "1000")
	ordered.Partitions = 5

	plan := inspect(t, adm, specs(ordered))
	err := plan.Apply(t.Context(), adm, false)
	if _, ok := errors.AsType[*topic.KeyedError](err); !ok || !strings.Contains(err.Error(), "overtake") {
		t.Fatalf("got %T %v, want a *KeyedError that says what would happen", err, err)
	}
	if got := partitions(t, adm, "tasks.pending"); got != 3 {
		t.Errorf("%d partitions, want the 3 that were", got)
	}
	if got := setOn(t, adm, "tasks.pending")["retention.ms"]; got != "-1" {
		t.Errorf("retention.ms is %s: the rest was not mended", got)
	}
	if err := topic.Ensure(t.Context(), adm, specs(ordered), false); err != nil {
		t.Errorf("fewer partitions than wanted stop a node: %v", err)
	}

	if err := plan.Apply(t.Context(), adm, true); err != nil {
		t.Fatal(err)
	}
	if got := partitions(t, adm, "tasks.pending"); got != 5 {
		t.Errorf("%d partitions, want 5", got)
	}
}

func TestApplyKeepsOtherSettings(t *testing.T) {
	_, adm := fake(t, 1)
	ensured(t, adm, specs(tasks))
	set(t, adm, "tasks.pending", "compression.type", "zstd")
	set(t, adm, "tasks.pending", "max.message.bytes", "7000000")
	set(t, adm, "tasks.pending", "retention.ms", "1000")
	if err := inspect(t, adm, specs(tasks)).Apply(t.Context(), adm, false); err != nil {
		t.Fatal(err)
	}
	got := setOn(t, adm, "tasks.pending")
	if got["compression.type"] != "zstd" || got["max.message.bytes"] != "7000000" || got["retention.ms"] != "-1" {
		t.Errorf("got %v", got)
	}
}

func TestEnsureWaitsForLeaders(t *testing.T) {
	cluster, adm := fake(t, 1)
	looks := 0
	cluster.ControlKey(int16(kmsg.Metadata), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		req := kreq.(*kmsg.MetadataRequest)
		if len(req.Topics) == 0 {
			return nil, nil, false
		}
		if looks++; looks == 1 || looks > 4 { // the first look finds nothing, the last ones see the truth
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		for _, rt := range req.Topics {
			mt := kmsg.NewMetadataResponseTopic()
			mt.Topic = rt.Topic
			if looks > 2 { // known by now, but nobody leads it
				mp := kmsg.NewMetadataResponseTopicPartition()
				mp.Leader, mp.ErrorCode = -1, kerr.LeaderNotAvailable.Code
				mt.Partitions = append(mt.Partitions, mp)
			} else {
				mt.ErrorCode = kerr.UnknownTopicOrPartition.Code
			}
			resp.Topics = append(resp.Topics, mt)
		}
		return resp, nil, true
	})
	ensured(t, adm, specs(tasks))
	if looks != 5 {
		t.Errorf("looked %d times, want until there were leaders: 5", looks)
	}
}

func TestEnsureEndsWithItsContext(t *testing.T) {
	cluster, adm := fake(t, 1)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "tasks.dead", Err: kerr.UnknownTopicOrPartition, Count: -1})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := topic.Ensure(ctx, adm, specs(tasks), true)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's end", err)
	}
}

func TestCreateFails(t *testing.T) {
	for _, c := range []struct {
		err  *kerr.Error
		want string // empty: it is no failure
	}{
		{kerr.TopicAlreadyExists, ""},
		{kerr.RequestTimedOut, ""},
		{kerr.PolicyViolation, "create topic tasks.pending: POLICY_VIOLATION"},
		{kerr.InvalidReplicationFactor, "create topic tasks.pending with replication factor 1: INVALID_REPLICATION_FACTOR"},
	} {
		cluster, adm := fake(t, 1)
		if c.err == kerr.TopicAlreadyExists { // the topic must be there then: another creates it at once
			stale := inspect(t, adm, specs(tasks))
			ensured(t, adm, specs(tasks))
			if err := stale.Apply(t.Context(), adm, false); err != nil {
				t.Errorf("%v: %v", c.err.Message, err)
			}
			continue
		}
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: "tasks.pending", Err: c.err})
		err := topic.Ensure(t.Context(), adm, specs(tasks), true)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%v: got %v, want %q", c.err.Message, err, c.want)
		}
	}
}

func TestPermissions(t *testing.T) {
	allow := func(resource kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: resource, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
	}
	topicOp := func(op kmsg.ACLOperation) kfake.ACL { return allow(kmsg.ACLResourceTypeTopic, "*", op) }
	describe, configs := topicOp(kmsg.ACLOperationDescribe), topicOp(kmsg.ACLOperationDescribeConfigs)
	for _, c := range []struct {
		name  string
		acls  []kfake.ACL
		there bool // the topics, but unsafe
		do    func(context.Context, *kadm.Client) error
		want  string
	}{
		{"nothing", nil, false, ensure, "describe topics tasks.pending, tasks.dead: TOPIC_AUTHORIZATION_FAILED"},
		{"no settings", []kfake.ACL{describe}, true, ensure, "read the settings of topics tasks.pending, tasks.dead: TOPIC_AUTHORIZATION_FAILED"},
		{"no creation", []kfake.ACL{describe, configs}, false, ensure, "create topic tasks.pending: TOPIC_AUTHORIZATION_FAILED"},
		{"creation", []kfake.ACL{describe, configs, topicOp(kmsg.ACLOperationCreate)}, false, ensure, ""},
		{"no alteration", []kfake.ACL{describe, configs}, true, apply, "alter topic tasks.pending: TOPIC_AUTHORIZATION_FAILED"},
		{"no growth", []kfake.ACL{describe, configs, topicOp(kmsg.ACLOperationAlterConfigs)}, true, apply, "add partitions to topic tasks.pending: TOPIC_AUTHORIZATION_FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := []kfake.Opt{kfake.EnableSASL(), kfake.EnableACLs(), kfake.User("PLAIN", "node", "pw", c.acls...)}
			if c.there {
				opts = append(opts, kfake.SeedTopics(1, "tasks.pending", "tasks.dead"))
			}
			cluster, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1))...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			adm := client(t, cluster.ListenAddrs(), kgo.SASL(plain.Auth{User: "node", Pass: "pw"}.AsMechanism()))
			err = c.do(t.Context(), adm)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			access, ok := errors.AsType[*topic.AccessError](err)
			if !ok || !strings.HasPrefix(err.Error(), c.want) || access.Needs == "" {
				t.Errorf("got %T %v, want *AccessError %s", err, err, c.want)
			}
		})
	}
}

func ensure(ctx context.Context, adm *kadm.Client) error {
	return topic.Ensure(ctx, adm, specs(tasks), true)
}

func apply(ctx context.Context, adm *kadm.Client) error {
	plan, err := topic.Inspect(ctx, adm, specs(tasks))
	if err != nil {
		return err
	}
	return plan.Apply(ctx, adm, false)
}
