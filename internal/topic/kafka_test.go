package topic_test

import (
	"maps"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What the fake takes on trust, a real broker checks: names and values of settings, and what it reports of them.
func TestKafka(t *testing.T) {
	adm := client(t, testenv.Kafka(t))
	queue := tasks
	queue.Name = testenv.Unique(t)
	pending, dead := queue.Name+".pending", queue.Name+".dead"
	wish := specs(queue)

	wantActions(t, inspect(t, adm, wish), topic.Create, topic.Create)
	ensured(t, adm, wish)
	ensured(t, adm, wish)
	wantActions(t, inspect(t, adm, wish), topic.OK, topic.OK)

	for _, c := range []struct{ topic, setting, value string }{
		{pending, "cleanup.policy", "compact,delete"}, {pending, "retention.ms", "3600000"}, {pending, "retention.bytes", "1000000"},
		{pending, "message.timestamp.type", "CreateTime"}, {pending, "max.message.bytes", "1000"}, {pending, "compression.type", "zstd"},
		{dead, "cleanup.policy", "delete"}, {dead, "segment.ms", "604800000"}, {dead, "max.compaction.lag.ms", "9223372036854775807"},
		{dead, "delete.retention.ms", "1000"}, {dead, "max.message.bytes", "1048576"}, {dead, "retention.ms", "1000"},
	} {
		set(t, adm, c.topic, c.setting, c.value)
	}
	plan := inspect(t, adm, wish)
	wantActions(t, plan, topic.Unsafe, topic.Unsafe)
	if p, d := len(plan.Topics[0].Findings), len(plan.Topics[1].Findings); p != 5 || d != 6 {
		t.Errorf("%d and %d findings, want 5 and 6: %v", p, d, plan.Topics)
	}
	if err := topic.Ensure(t.Context(), adm, wish, true); err == nil {
		t.Error("unsafe topics were accepted")
	}

	queue.Partitions = 4
	wish = specs(queue)
	plan = inspect(t, adm, wish)
	for range 2 { // the second with a plan that another has carried out
		if err := plan.Apply(t.Context(), adm, false); err != nil {
			t.Fatal(err)
		}
	}
	wantActions(t, inspect(t, adm, wish), topic.OK, topic.OK)
	if got := partitions(t, adm, pending); got != 4 {
		t.Errorf("%d partitions, want 4", got)
	}
	want := map[string]string{
		"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "message.timestamp.type": "LogAppendTime",
		"max.message.bytes": "1048576", "compression.type": "zstd",
	}
	if got := setOn(t, adm, pending); !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	foreign(t, adm, queue.Name, queue.Name+".")
}

// As brokers create topics that somebody produces to before a node has started.
func TestKafkaDefaultsAreUnsafe(t *testing.T) {
	adm := client(t, testenv.Kafka(t))
	queue := tasks
	queue.Name = testenv.Unique(t)
	if _, err := adm.CreateTopics(t.Context(), 1, 1, nil, queue.Name+".pending", queue.Name+".dead"); err != nil {
		t.Fatal(err)
	}
	wantActions(t, inspect(t, adm, specs(queue)), topic.Unsafe, topic.Unsafe)
}

// Timestamps of producers are ignored: the broker neither refuses a record for one nor keeps it, and sets its own.
// Pitfall 31 of docs/pitfalls.md.
func TestProducerTimestampsAreIgnored(t *testing.T) {
	brokers := testenv.Kafka(t)
	queue := tasks
	queue.Name = testenv.Unique(t)
	ensured(t, client(t, brokers), specs(queue))
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(queue.Name+".pending"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	before := time.Now().Add(-time.Minute) // the broker's clock is this machine's
	for _, at := range []time.Time{time.Unix(1, 0), time.Now().AddDate(80, 0, 0)} {
		r := &kgo.Record{Topic: queue.Name + ".pending", Value: []byte("{}"), Timestamp: at}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatalf("a record of %v: %v", at, err)
		}
	}
	for read := 0; read < 2; {
		fetches := cl.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			read++
			if r.Timestamp.Before(before) || r.Timestamp.After(time.Now().Add(time.Minute)) {
				t.Errorf("the log has a record of %v", r.Timestamp)
			}
		})
	}
}
