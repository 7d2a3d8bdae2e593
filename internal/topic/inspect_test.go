package topic_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/tasktier/tasktier/internal/topic"
	"github.com/twmb/franz-go/pkg/kfake"
)

func TestSpecs(t *testing.T) {
	got := specs(topic.Queue{Name: "b", Partitions: 2, MaxBytes: 100, Ordered: true, Replication: 2}, tasks, topic.Queue{Name: "a"})
	var names []string
	for _, s := range got {
		names = append(names, s.Name)
	}
	if want := "a.pending a.dead b.pending b.dead tasks.pending tasks.dead"; strings.Join(names, " ") != want {
		t.Errorf("got %v, want %s", names, want)
	}
	b := got[2]
	if b.Group != "tasktier.b" || b.Queue != "b" || b.Partitions != 2 || !b.Ordered || b.Replication != 2 {
		t.Errorf("got %+v", b)
	}
	if got[3].Group != "" || got[3].Partitions != 2 {
		t.Errorf("got %+v", got[3])
	}
}

func TestInspectNothing(t *testing.T) {
	_, adm := fake(t, 1, kfake.SeedTopics(1, "other"))
	if plan := inspect(t, adm, nil); len(plan.Topics) != 0 {
		t.Errorf("got %+v, want no topic", plan)
	}
}

func TestEnsureCreates(t *testing.T) {
	for brokers, want := range map[int]struct {
		replication int16
		insync      string
	}{1: {1, ""}, 2: {2, ""}, 3: {3, "2"}, 4: {3, "2"}} {
		_, adm := fake(t, brokers)
		wantActions(t, inspect(t, adm, specs(tasks)), topic.Create, topic.Create)
		ensured(t, adm, specs(tasks))

		plan := inspect(t, adm, specs(tasks))
		wantActions(t, plan, topic.OK, topic.OK)
		for _, topic := range plan.Topics {
			if topic.Partitions != 3 || topic.Replication != want.replication || !topic.Ready {
				t.Errorf("%d brokers: got %+v", brokers, topic)
			}
		}
		pending := map[string]string{
			"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1",
			"message.timestamp.type": "LogAppendTime", "max.message.bytes": "1048576",
		}
		dead := map[string]string{
			"cleanup.policy": "compact", "retention.ms": "-1", "segment.ms": "3600000",
			"max.compaction.lag.ms": "86400000", "delete.retention.ms": "604800000", "max.message.bytes": "1114112",
		}
		if want.insync != "" {
			pending["min.insync.replicas"], dead["min.insync.replicas"] = want.insync, want.insync
		}
		if got := setOn(t, adm, "tasks.pending"); !maps.Equal(got, pending) {
			t.Errorf("%d brokers: pending has\n%v, want\n%v", brokers, got, pending)
		}
		if got := setOn(t, adm, "tasks.dead"); !maps.Equal(got, dead) {
			t.Errorf("%d brokers: dead has\n%v, want\n%v", brokers, got, dead)
		}
	}
}

// Every setting, set wrong on topics that were right.
func TestInspectFinds(t *testing.T) {
	for _, c := range []struct {
		topic, setting, value string
		want                  topic.Action
	}{
		{"tasks.pending", "cleanup.policy", "compact", topic.Unsafe},
		{"tasks.pending", "cleanup.policy", "delete,compact", topic.Unsafe},
		{"tasks.pending", "retention.ms", "604800000", topic.Unsafe},
		{"tasks.pending", "retention.bytes", "1000000000", topic.Unsafe},
		{"tasks.pending", "message.timestamp.type", "CreateTime", topic.Unsafe},
		{"tasks.pending", "max.message.bytes", "1048575", topic.Change},
		{"tasks.pending", "min.insync.replicas", "1", topic.Change},
		{"tasks.pending", "min.insync.replicas", "3", topic.OK},
		{"tasks.pending", "retention.hours", "1", topic.OK},
		{"tasks.dead", "cleanup.policy", "delete", topic.Unsafe},
		{"tasks.dead", "cleanup.policy", "compact, delete", topic.Unsafe},
		{"tasks.dead", "max.message.bytes", "1114111", topic.Unsafe},
		{"tasks.dead", "max.message.bytes", "9999999", topic.OK},
		{"tasks.dead", "retention.ms", "604800000", topic.Change},
		{"tasks.dead", "segment.ms", "604800000", topic.Change},
		{"tasks.dead", "segment.ms", "1000", topic.OK},
		{"tasks.dead", "max.compaction.lag.ms", "9223372036854775807", topic.Change},
		{"tasks.dead", "delete.retention.ms", "86400000", topic.Change},
		{"tasks.dead", "min.insync.replicas", "1", topic.Change},
		{"tasks.dead", "message.timestamp.type", "CreateTime", topic.OK},
	} {
		t.Run(c.topic+" "+c.setting+"="+c.value, func(t *testing.T) {
			_, adm := fake(t, 3)
			ensured(t, adm, specs(tasks))
			set(t, adm, c.topic, c.setting, c.value)

			plan := inspect(t, adm, specs(tasks))
			i := 0
			if c.topic == "tasks.dead" {
				i = 1
			}
			wantActions(t, topic.Plan{Topics: plan.Topics[i : i+1]}, c.want)
			wantActions(t, topic.Plan{Topics: plan.Topics[1-i : 2-i]}, topic.OK)
			if found := plan.Topics[i].Findings; c.want != topic.OK {
				if f := found[0]; f.Topic != c.topic || f.Queue != "tasks" || f.Setting != c.setting || f.Have != c.value || f.Why == "" {
					t.Errorf("got %+v", f)
				}
				if err := plan.Apply(t.Context(), adm, false); err != nil {
					t.Fatal(err)
				}
				wantActions(t, inspect(t, adm, specs(tasks)), topic.OK, topic.OK)
			}
		})
	}
}

// A queue's topic with Kafka's default retention is refused, because unfinished tasks would be deleted; the error names
// the command that corrects it. Pitfall 28 of docs/pitfalls.md.
func TestDefaultRetentionIsRefused(t *testing.T) {
	_, adm := fake(t, 1, kfake.SeedTopics(3, "tasks.pending", "tasks.dead")) // as a broker creates them for a producer
	err := topic.Ensure(t.Context(), adm, specs(tasks), true)
	unsafe, ok := err.(*topic.UnsafeError)
	if !ok {
		t.Fatalf("got %T %v, want *UnsafeError", err, err)
	}
	if f := unsafe.Findings[0]; f.Setting != "retention.ms" || f.Have != "604800000" || f.Want != "-1" {
		t.Errorf("got %+v", f)
	}
	const line = "topic tasks.pending: retention.ms is 604800000, must be -1: tasks that wait longer are deleted; mend it with: tasktier topic apply --queue tasks\n"
	if !strings.HasPrefix(err.Error(), line) {
		t.Errorf("got  %s\nwant it to begin with\n     %s", err, line)
	}
	if got := setOn(t, adm, "tasks.pending"); len(got) != 0 {
		t.Errorf("a node altered a topic that was there: %v", got)
	}

	if err := inspect(t, adm, specs(tasks)).Apply(t.Context(), adm, false); err != nil {
		t.Fatal(err)
	}
	if err := topic.Ensure(t.Context(), adm, specs(tasks), false); err != nil {
		t.Errorf("after the command that the error names: %v", err)
	}
}

// A dead-letter topic is created with as many partitions as its queue. It does not grow with the queue, because a
// letter and its tombstone must stay in one partition. Pitfall 13 of docs/pitfalls.md.
func TestDeadLetterTopicIsCreatedWithThePartitionsOfItsQueue(t *testing.T) {
	_, adm := fake(t, 1)
	ensured(t, adm, specs(tasks)[:1])
	if _, err := adm.UpdatePartitions(t.Context(), 7, "tasks.pending"); err != nil {
		t.Fatal(err)
	}
	ensured(t, adm, specs(tasks))
	if got := partitions(t, adm, "tasks.dead"); got != 7 {
		t.Errorf("created with %d partitions, want pending's 7", got)
	}
	if _, err := adm.UpdatePartitions(t.Context(), 9, "tasks.pending"); err != nil {
		t.Fatal(err)
	}
	wantActions(t, inspect(t, adm, specs(tasks)), topic.OK, topic.OK) // growing would part letters from their tombstones
}

// A dead-letter topic must accept larger records than its queue, also when an operator has raised the limit of the
// queue. Pitfall 30 of docs/pitfalls.md.
func TestDeadLetterTopicMustTakeLargerRecords(t *testing.T) {
	_, adm := fake(t, 1)
	ensured(t, adm, specs(tasks))
	set(t, adm, "tasks.pending", "max.message.bytes", "5000000")
	plan := inspect(t, adm, specs(tasks))
	wantActions(t, plan, topic.OK, topic.Unsafe)
	if f := plan.Topics[1].Findings[0]; f.Want != "at least 5065536" {
		t.Errorf("got %+v", f)
	}
}

// A broker that does not know a setting is no reason to stop.
func TestInspectSettingNotReported(t *testing.T) {
	_, adm := fake(t, 1, kfake.SeedTopics(3, "tasks.dead")) // the fake reports max.compaction.lag.ms only once it is set
	for _, f := range inspect(t, adm, specs(tasks)[1:]).Topics[0].Findings {
		if f.Setting == "max.compaction.lag.ms" {
			if f.Unsafe || !strings.Contains(f.String(), "max.compaction.lag.ms is not known, must be at most 86400000") {
				t.Errorf("got %+v: %s", f, f)
			}
			return
		}
	}
	t.Error("the setting was not found missing")
}

func TestReplicationIsForTheOperator(t *testing.T) {
	_, adm := fake(t, 3)
	two := tasks
	two.Replication = 2
	ensured(t, adm, specs(two))
	wantActions(t, inspect(t, adm, specs(two)), topic.OK, topic.OK)

	plan := inspect(t, adm, specs(tasks)) // wants 3, as there are 3 brokers
	wantActions(t, plan, topic.Change, topic.Change)
	if f := plan.Topics[0].Findings; len(f) != 1 || f[0].Mend != topic.ByHand || f[0].Unsafe {
		t.Errorf("got %+v", f)
	}
	if err := plan.Apply(t.Context(), adm, false); err != nil {
		t.Error(err)
	}
}

// Clients keep metadata for seconds; a plan must not be made from that.
func TestInspectIsFresh(t *testing.T) {
	cluster, adm := fake(t, 1)
	ensured(t, adm, specs(tasks))
	if _, err := adm.ListTopics(t.Context(), "tasks.pending"); err != nil { // kept by the client
		t.Fatal(err)
	}
	if _, err := client(t, cluster.ListenAddrs()).UpdatePartitions(t.Context(), 5, "tasks.pending"); err != nil {
		t.Fatal(err)
	}
	if got := inspect(t, adm, specs(tasks)).Topics[0].Partitions; got != 5 {
		t.Errorf("saw %d partitions, want the 5 there are", got)
	}
}

// Kafka never compacts the active segment, so a dead-letter topic has settings that close segments in time; with the
// defaults, replayed letters of a quiet topic would stay for good. Pitfall 29 of docs/pitfalls.md.
func TestQuietDeadLetterTopicsAreCompacted(t *testing.T) {
	_, adm := fake(t, 1)
	ensured(t, adm, specs(tasks))
	for setting, value := range map[string]string{
		"segment.ms": "3600000", "max.compaction.lag.ms": "86400000", "delete.retention.ms": "604800000",
	} {
		if got := setOn(t, adm, "tasks.dead")[setting]; got != value {
			t.Errorf("%s is %q, want %s", setting, got, value)
		}
	}
	set(t, adm, "tasks.dead", "segment.ms", "604800000") // Kafka's default
	wantActions(t, inspect(t, adm, specs(tasks)), topic.OK, topic.Change)
}
