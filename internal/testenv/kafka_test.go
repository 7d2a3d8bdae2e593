package testenv_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tasktier/tasktier/internal/testenv"
)

func TestSharedKafkaCarriesARecord(t *testing.T) {
	t.Parallel()
	addrs, topic := testenv.Kafka(t), testenv.Unique(t)
	ctx := limit(t)
	createTopic(ctx, t, addrs, topic, 1)
	produce(ctx, t, addrs, topic, "hello")
	wantRecords(ctx, t, addrs, topic, "hello")
}

func TestSharedKafkaMakesNoTopicUnasked(t *testing.T) {
	client := newClient(t, testenv.Kafka(t), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(0))
	err := client.ProduceSync(limit(t), &kgo.Record{Topic: testenv.Unique(t)}).FirstErr()
	if err == nil {
		t.Fatal("a record was accepted for a topic that nobody made")
	}
}

func TestKafkaKeepsItsRecords(t *testing.T) {
	if testing.Short() {
		t.Skip("a broker is started three times: ./check long runs it")
	}
	t.Parallel()
	kafka := testenv.StartKafka(t)
	ctx, topic := limit(t), "kept"
	createTopic(ctx, t, kafka.Addrs(), topic, 1)
	for i, end := range []func() error{kafka.Kill, kafka.Stop} {
		produce(ctx, t, kafka.Addrs(), topic, strconv.Itoa(i))
		must(t, end())
		start := time.Now()
		must(t, kafka.Start())
		t.Logf("started again in %s", time.Since(start).Round(time.Millisecond))
	}
	wantRecords(ctx, t, kafka.Addrs(), topic, "0", "1")
}

func TestKafkaPausedAnswersAfterResume(t *testing.T) {
	if testing.Short() {
		t.Skip("a broker of its own takes seconds: ./check long runs it")
	}
	t.Parallel()
	kafka := testenv.StartKafka(t)
	ctx, topic := limit(t), "paused"
	createTopic(ctx, t, kafka.Addrs(), topic, 1)
	client := newClient(t, kafka.Addrs())

	must(t, kafka.Pause())
	answered := make(chan error, 1)
	client.Produce(ctx, &kgo.Record{Topic: topic, Value: []byte("late")}, func(_ *kgo.Record, err error) { answered <- err })
	select {
	case err := <-answered:
		t.Errorf("a paused broker answered: %v", err)
	case <-time.After(300 * time.Millisecond): // how long a live broker would need a hundred times over
	}
	must(t, kafka.Resume())
	must(t, <-answered)
	wantRecords(ctx, t, kafka.Addrs(), topic, "late")
}

// TestKafkaListenerTellsOfItsOwn looks at the addresses that clients are sent on to, by the listener that they come to.
func TestKafkaListenerTellsOfItsOwn(t *testing.T) {
	t.Parallel()
	var listens string
	kafka := testenv.StartKafka(t, testenv.KafkaListener(func(broker int32, addr string) (string, error) {
		listens = addr
		return "localhost" + strings.TrimPrefix(addr, "127.0.0.1"), nil
	}))
	for addr, want := range map[string]string{listens: "localhost", kafka.Addr(): "127.0.0.1"} {
		brokers, err := kadm.NewClient(newClient(t, []string{addr})).ListBrokers(limit(t))
		must(t, err)
		if len(brokers) != 1 || brokers[0].Host != want || fmt.Sprintf(":%d", brokers[0].Port) != addr[strings.LastIndex(addr, ":"):] {
			t.Errorf("who comes to %s is sent on to %v, want %s", addr, brokers, want)
		}
	}
}

func TestKafkaClusterSurvivesABroker(t *testing.T) {
	if testing.Short() {
		t.Skip("brokers are started five times: ./check long runs it")
	}
	t.Parallel()
	start := time.Now()
	cluster := testenv.StartKafkaCluster(t, 3)
	t.Logf("3 brokers started in %s", time.Since(start).Round(time.Millisecond))
	ctx, topic := limit(t), "replicated"
	createTopic(ctx, t, cluster.Addrs(), topic, 3)
	for _, broker := range cluster.Brokers[:2] { // one of them is not the controller
		must(t, broker.Kill())
		produce(ctx, t, cluster.Addrs(), topic, "without "+strconv.Itoa(int(broker.ID)))
		must(t, broker.Start())
		awaitInSync(ctx, t, cluster.Addrs(), topic, 3)
	}
	wantRecords(ctx, t, cluster.Addrs(), topic, "without 1", "without 2")
}

func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newClient(t *testing.T, addrs []string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(addrs...))...)
	must(t, err)
	t.Cleanup(client.Close)
	return client
}

func createTopic(ctx context.Context, t *testing.T, addrs []string, topic string, replicas int16) {
	t.Helper()
	inSync := strconv.Itoa(min(int(replicas), 2))
	_, err := kadm.NewClient(newClient(t, addrs)).CreateTopic(ctx, 1, replicas,
		map[string]*string{"min.insync.replicas": &inSync}, topic)
	must(t, err)
}

func produce(ctx context.Context, t *testing.T, addrs []string, topic, value string) {
	t.Helper()
	record := &kgo.Record{Topic: topic, Value: []byte(value)}
	must(t, newClient(t, addrs).ProduceSync(ctx, record).FirstErr())
}

func wantRecords(ctx context.Context, t *testing.T, addrs []string, topic string, want ...string) {
	t.Helper()
	client := newClient(t, addrs, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for read := 0; read < len(want); {
		fetches := client.PollFetches(ctx)
		must(t, fetches.Err())
		for _, record := range fetches.Records() {
			if got := string(record.Value); read >= len(want) || got != want[read] {
				t.Fatalf("record %d is %q, want all of %q", read, got, want)
			}
			read++
		}
	}
}

func awaitInSync(ctx context.Context, t *testing.T, addrs []string, topic string, n int) {
	t.Helper()
	// The client answers from its own memory of up to that age.
	admin := kadm.NewClient(newClient(t, addrs, kgo.MetadataMinAge(20*time.Millisecond)))
	for {
		topics, err := admin.ListTopics(ctx, topic)
		must(t, err)
		if len(topics[topic].Partitions[0].ISR) == n {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d of %d replicas in sync: %v", len(topics[topic].Partitions[0].ISR), n, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
