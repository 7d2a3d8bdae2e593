package upkeep

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

const slack = 20 * time.Second // the machine does much else

// A site is an installation with one queue of its own, and the log of who works on it.
type site struct {
	Installation
	t       *testing.T
	cluster *kfake.Cluster // nil on a real Kafka
	brokers []string
	client  *kgo.Client
	queue   string
	topic   string
	group   string
	logs    *observer.ObservedLogs
}

// everywhere runs a test on the fake and on a real Kafka.
func everywhere(t *testing.T, partitions int32, test func(*testing.T, *site)) {
	t.Run("kfake", func(t *testing.T) { t.Parallel(); test(t, fakeSite(t, partitions)) })
	t.Run("kafka", func(t *testing.T) { t.Parallel(); test(t, realSite(t, partitions)) })
}

func fakeSite(t *testing.T, partitions int32) *site {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	must(t, err)
	t.Cleanup(cluster.Close)
	s := newSite(t, cluster.ListenAddrs(), partitions)
	s.cluster = cluster
	return s
}

func realSite(t *testing.T, partitions int32) *site {
	t.Helper()
	return newSite(t, testenv.Kafka(t), partitions)
}

func newSite(t *testing.T, brokers []string, partitions int32) *site {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	s := &site{t: t, brokers: brokers, queue: testenv.Unique(t), logs: logs}
	s.topic = names.Pending(s.queue)
	s.client = s.dial()
	etcd, err := clientv3.New(clientv3.Config{Endpoints: testenv.Etcd(t), Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(func() { must(t, etcd.Close()) })
	s.Installation = Installation{
		Kafka: kadm.NewClient(s.client), KafkaPrefix: s.queue, Etcd: etcd, EtcdPrefix: "/" + s.queue, Log: zap.New(core),
	}
	s.group = names.Group(s.KafkaPrefix, s.queue)
	s.create(s.topic, partitions)
	return s
}

// dial opens a client that ends with the test.
func (s *site) dial(opts ...kgo.Opt) *kgo.Client {
	s.t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(s.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(10 * time.Millisecond),
	}, opts...)...)
	must(s.t, err)
	s.t.Cleanup(client.Close)
	return client
}

// create makes a topic whose records keep the times that the test gives them.
func (s *site) create(topic string, partitions int32) {
	s.t.Helper()
	kind := "CreateTime"
	testenv.CreateTopics(s.t, s.client, partitions, map[string]*string{"message.timestamp.type": &kind}, topic)
}

// produce appends n records of some age to a partition of a topic.
func (s *site) produce(topic string, partition int32, n int, age time.Duration) {
	s.t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Partition: partition, Timestamp: time.Now().Add(-age)}
	}
	must(s.t, s.client.ProduceSync(s.ctx(), records...).FirstErr())
}

// commits commits an offset for a group that nobody is in.
func (s *site) commits(group, topic string, partition int32, at int64) {
	s.t.Helper()
	var o kadm.Offsets
	o.AddOffset(topic, partition, at, -1)
	must(s.t, s.Kafka.CommitAllOffsets(s.ctx(), group, o))
}

// committed is what a group has committed for the queue's topic, by partition; -1 where it has nothing.
func (s *site) committed(group string) []int64 {
	s.t.Helper()
	all := slices.Repeat([]int64{-1}, len(s.starts()))
	offsets, err := s.Kafka.FetchOffsets(s.ctx(), group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return all
	}
	must(s.t, err)
	for p, o := range offsets[s.topic] {
		all[p] = o.At
	}
	return all
}

// starts are the first offsets of the partitions of the queue's topic.
func (s *site) starts() []int64 {
	s.t.Helper()
	starts, err := s.Kafka.ListStartOffsets(s.ctx(), s.topic)
	must(s.t, err)
	all := make([]int64, len(starts[s.topic]))
	for p, o := range starts[s.topic] {
		must(s.t, o.Err)
		all[p] = o.Offset
	}
	return all
}

// forget has Kafka forget the queue's group, as it does after a week.
func (s *site) forget() {
	s.t.Helper()
	s.until("the group is forgotten", func() bool {
		_, err := s.Kafka.DeleteGroup(s.ctx(), s.group)
		return err == nil
	})
	for p, at := range s.committed(s.group) {
		if at != -1 {
			s.t.Fatalf("partition %d still has offset %d", p, at)
		}
	}
}

// mirrored is the queue's mirror, by partition; nil if there is none.
func (s *site) mirrored() []int64 {
	s.t.Helper()
	m, _, err := s.readMirror(s.ctx(), s.reader(s.queue))
	must(s.t, err)
	return m.Topics[s.topic].Offsets
}

// work has a consumer of the queue's group read n records and commit them. It returns their
// offsets by partition.
func (s *site) work(n int) map[int32][]int64 {
	s.t.Helper()
	client := s.dial(kgo.ConsumerGroup(s.group), kgo.ConsumeTopics(s.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.FetchMaxWait(100*time.Millisecond))
	ctx := s.ctx()
	read := make(map[int32][]int64)
	for got := 0; got < n; {
		records := client.PollRecords(ctx, n-got).Records()
		if ctx.Err() != nil {
			s.t.Fatalf("%d records came, want %d", got, n)
		}
		for _, r := range records {
			read[r.Partition] = append(read[r.Partition], r.Offset)
		}
		must(s.t, client.CommitRecords(ctx, records...))
		got += len(records)
	}
	client.Close()
	return read
}

// duty makes one for the queue.
func (s *site) duty(what Trimming) *Duty {
	s.t.Helper()
	d, err := New(Config{Installation: s.Installation, Queue: s.queue, Trimming: what, Every: 50 * time.Millisecond})
	must(s.t, err)
	return d
}

// membership starts one that ends with the test.
func (s *site) membership() *coord.Membership {
	s.t.Helper()
	m, err := coord.New(coord.Config{Client: s.Etcd, Prefix: s.EtcdPrefix})
	must(s.t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = m.Run(ctx) })
	s.t.Cleanup(func() { cancel(); running.Wait() })
	return m
}

// leads has a membership do a duty until the function it returns is called.
func (s *site) leads(m *coord.Membership, name string, duty coord.Duty) (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	var leading sync.WaitGroup
	leading.Go(func() {
		if err := m.Lead(ctx, name, duty); err != nil {
			s.t.Errorf("lead: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); leading.Wait() })
	s.t.Cleanup(stop)
	return stop
}

// leading is a term that lasts until the function is called.
func (s *site) leading(m *coord.Membership) (coord.Term, func()) {
	s.t.Helper()
	terms := make(chan coord.Term, 1)
	stop := s.leads(m, "test", func(ctx context.Context, t coord.Term) error {
		terms <- t
		<-ctx.Done()
		return nil
	})
	select {
	case t := <-terms:
		return t, stop
	case <-time.After(slack):
		s.t.Fatal("nobody leads")
		return coord.Term{}, nil
	}
}

// warnings counts what was logged as a warning with some words in it.
func (s *site) warnings(words string) int { return s.logs.FilterMessageSnippet(words).Len() }

func (s *site) ctx() context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), slack)
	s.t.Cleanup(cancel)
	return ctx
}

// until waits until something is so.
func (s *site) until(what string, is func() bool) {
	s.t.Helper()
	tick, timer := time.NewTicker(20*time.Millisecond), time.NewTimer(slack)
	defer tick.Stop()
	defer timer.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-timer.C:
			s.t.Fatalf("not within %s: %s", slack, what)
		}
	}
}

func equal(t *testing.T, what string, got, want []int64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
