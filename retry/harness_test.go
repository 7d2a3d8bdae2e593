package retry

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap/zaptest"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience bounds every wait of these tests: far more than a loaded machine needs.
const patience = 60 * time.Second

// A stage is a cluster with a queue and mostly the tiers, and what came back to it.
type stage struct {
	t        *testing.T
	patience time.Duration
	kafka    []kgo.Opt
	cluster  *kfake.Cluster // nil on real Kafka
	prefix   string
	queue    string
	client   *kgo.Client
	adm      *kadm.Client
	writer   *Writer
	slow     *atomic.Int64 // how long each write takes, in a bubble

	mu      sync.Mutex
	back    map[string][]time.Time // when a task came back, by id
	changed chan struct{}
}

// play runs a test on a stage in a bubble of testing/synctest, on a network in memory: its clock stands still while
// anything moves, so a test may wait for days. There must be one forwarder at a time: where members of a group wait for
// each other, a commit waits for the join on a lock of kgo's, for which a bubble's clock would stand still.
func play(t *testing.T, test func(t *testing.T, s *stage)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		slow := new(atomic.Int64)
		network := &bubble.Network{Before: func(key kmsg.Key) {
			if key == kmsg.Produce {
				time.Sleep(time.Duration(slow.Load()))
			}
		}}
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(network.Listen),
			kfake.GroupMaxSessionTimeout(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		s := newStage(t, cluster, kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(network.DialContext),
			kgo.FetchMaxWait(5*time.Minute), kgo.MetadataMaxAge(time.Hour), kgo.DisableClientMetrics())
		s.createTiers()
		s.patience, s.slow = 24*time.Hour, slow
		test(t, s)
	})
}

func onKfake(t *testing.T) *stage {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	s := newStage(t, cluster, kgo.SeedBrokers(cluster.ListenAddrs()...))
	s.createTiers()
	return s
}

// onKafka has no tiers: so many partitions cost a broker a second.
func onKafka(t *testing.T) *stage {
	t.Helper()
	return newStage(t, nil, kgo.SeedBrokers(testenv.Kafka(t)...))
}

// onBoth runs a test on real Kafka and, unless the run is short, on kfake.
func onBoth(t *testing.T, test func(t *testing.T, s *stage)) {
	t.Run("kafka", func(t *testing.T) { test(t, onKafka(t)) })
	t.Run("kfake", func(t *testing.T) {
		if testing.Short() {
			t.Skip("real Kafka shows the same: ./check long runs both")
		}
		test(t, onKfake(t))
	})
}

func newStage(t *testing.T, cluster *kfake.Cluster, kafka ...kgo.Opt) *stage {
	t.Helper()
	name := testenv.Unique(t)
	s := &stage{t: t, patience: patience, kafka: kafka, cluster: cluster, prefix: name, queue: name + ".q", back: make(map[string][]time.Time), changed: make(chan struct{}, 1)}
	s.client = s.dial(OutOptions(kafka, s.prefix, 1<<20)...)
	s.adm = kadm.NewClient(s.client)
	s.create(names.Pending(s.queue), 4)
	s.create(names.Dead(s.queue), 4)
	s.writer = NewWriter(s.client, s.prefix, zaptest.NewLogger(t))
	t.Cleanup(s.writer.Close)
	return s
}

func (s *stage) createTiers() {
	s.t.Helper()
	s.create(names.RetryMinute(s.prefix), tier.Minute.Partitions)
	s.create(names.RetryHour(s.prefix), tier.Hour.Partitions)
}

func (s *stage) create(topic string, partitions int32) {
	s.t.Helper()
	testenv.CreateTopics(s.t, s.client, partitions, nil, topic)
}

// dial returns a client that lives as long as the test.
func (s *stage) dial(opts ...kgo.Opt) *kgo.Client {
	s.t.Helper()
	cl, err := kgo.NewClient(append(append([]kgo.Opt{}, s.kafka...), opts...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(cl.Close)
	return cl
}

func (s *stage) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	s.t.Cleanup(cancel)
	return ctx
}

// wait hands n tasks on, "0", "1", …, due as said.
func (s *stage) wait(n int, due func(i int) time.Time) { s.t.Helper(); s.waitFrom(0, n, s.queue, due) }

// waitFrom hands the tasks from first to end-1 on, for a queue.
func (s *stage) waitFrom(first, end int, queue string, due func(i int) time.Time) {
	s.t.Helper()
	ctx := s.context()
	var all sync.WaitGroup
	for i := first; i < end; i++ {
		all.Add(1)
		s.writer.Write(ctx, Wait{Queue: queue, Record: example(i), Due: due(i), Turn: 2, Attempt: 2, Err: "no luck"}, func(err error) {
			if err != nil {
				s.t.Errorf("write: %v", err)
			}
			all.Done()
		})
	}
	all.Wait()
}

// example is the record of task i, of about a kilobyte.
func example(i int) *kgo.Record {
	return record.Encode(task.New("t", make([]byte, 900), task.ID(fmt.Sprint(i)), task.Source("/test")), "")
}

// place puts records into a partition as they are, past all routing.
func (s *stage) place(topic string, partition int32, records ...*kgo.Record) {
	s.t.Helper()
	cl := s.dial(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for _, r := range records {
		r.Topic, r.Partition = topic, partition
	}
	if err := cl.ProduceSync(s.context(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// stamped is the record of task i as it lies in a tier.
func (s *stage) stamped(i int, due time.Time) *kgo.Record {
	return record.Move(example(i), "", nil, record.Stamp{Queue: s.queue, Due: due, Turn: 2, Attempt: 2})
}

// size is how many records were ever written to a topic.
func (s *stage) size(topic string) (n int64) {
	s.t.Helper()
	ends, err := s.adm.ListEndOffsets(s.context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

// all reads a topic to its end.
func (s *stage) all(topic string) (records []*kgo.Record) {
	s.t.Helper()
	want := s.size(topic)
	cl := s.dial(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	for int64(len(records)) < want {
		fetches := cl.PollFetches(s.context())
		if err := fetches.Err(); err != nil {
			s.t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// once checks that of n tasks each came back, at most extra of them more than once and none before its due, and returns
// the longest delay.
func (s *stage) once(n, extra int, due func(i int) time.Time) (late time.Duration) {
	s.t.Helper()
	twice := 0
	for id, at := range s.await(n) {
		i, err := strconv.Atoi(id)
		if err != nil {
			s.t.Fatal(err)
		}
		twice += len(at) - 1
		for _, at := range at {
			if at.Before(due(i)) {
				s.t.Errorf("task %s came back %v early", id, due(i).Sub(at))
			}
		}
		late = max(late, at[0].Sub(due(i)))
	}
	if twice > extra {
		s.t.Errorf("%d tasks of %d came back twice, more than %d", twice, n, extra)
	}
	return late
}

// listen notes what comes back, until the test ends.
func (s *stage) listen() {
	s.t.Helper()
	cl := s.dial(kgo.ConsumeTopics(names.Pending(s.queue)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			records := cl.PollFetches(ctx).Records()
			now := time.Now()
			s.mu.Lock()
			for _, r := range records {
				var t task.Task
				if err := record.Decode(r, &t); err != nil {
					s.t.Errorf("decode: %v", err)
				}
				s.back[t.ID] = append(s.back[t.ID], now)
			}
			s.mu.Unlock()
			select {
			case s.changed <- struct{}{}:
			default:
			}
		}
	}()
	s.t.Cleanup(func() { cancel(); <-done })
}

// await waits until n different tasks are back and returns when.
func (s *stage) await(n int) map[string][]time.Time {
	s.t.Helper()
	ctx := s.context()
	for {
		s.mu.Lock()
		got := make(map[string][]time.Time, len(s.back))
		for id, at := range s.back {
			got[id] = append([]time.Time(nil), at...)
		}
		s.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			s.t.Fatalf("%d of %d tasks are back", len(got), n)
		}
	}
}

// A running is a forwarder that runs.
type running struct {
	*Forwarder
	t    testing.TB
	end  context.CancelFunc
	done chan error
}

func (s *stage) start(change ...func(*Config)) *running {
	s.t.Helper()
	cfg := Config{Kafka: s.kafka, Prefix: s.prefix, Fallback: s.queue, Node: "test", Log: zaptest.NewLogger(s.t)}
	for _, c := range change {
		c(&cfg)
	}
	f, err := New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Forwarder: f, t: s.t, end: cancel, done: make(chan error, 1)}
	go func() { r.done <- f.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		select {
		case err := <-r.done:
			if err != nil {
				s.t.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			s.t.Error("the forwarder did not stop")
		}
	})
	return r
}

func (r *running) stop() {
	r.t.Helper()
	r.end()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("run: %v", err)
		}
		r.done <- nil
	case <-time.After(patience):
		r.t.Fatal("the forwarder did not stop")
	}
}

// ready waits until the forwarder has taken n partitions over.
func (r *running) ready(n int) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for has := 0; has < n; {
		has = 0
		r.do(func() {
			for _, s := range r.slots {
				if !s.leaving {
					has++
				}
			}
		})
		if time.Now().After(deadline) {
			r.t.Fatalf("%d of %d partitions are taken over", has, n)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// all is the number of partitions of both tiers.
const all = 90 + 48
