package interop

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap/zaptest"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	// patience bounds every wait: far more than a loaded machine needs.
	patience = time.Minute
	maxBytes = 1 << 20
)

// A stage is a queue on real Kafka, a consumer of it, and what that did.
type stage struct {
	t       *testing.T
	brokers []string
	queue   string
	client  *kgo.Client
	mux     *consumer.Mux

	mu      sync.Mutex
	ran     []*task.Task // in the order of their ends
	settled []consumer.Settled
	changed chan struct{}
}

func newStage(t *testing.T, partitions int32) *stage {
	t.Helper()
	s := &stage{
		t: t, brokers: testenv.Kafka(t), queue: testenv.Unique(t), mux: consumer.NewMux(), changed: make(chan struct{}, 1),
	}
	s.client = s.connect(kgo.ProducerBatchMaxBytes(maxBytes), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	specs := topic.Specs(s.queue, []topic.Queue{{Name: s.queue, Partitions: partitions, MaxBytes: maxBytes}})
	if err := topic.Ensure(s.context(), kadm.NewClient(s.client), specs, true); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stage) connect(opts ...kgo.Opt) *kgo.Client {
	s.t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(s.brokers...))...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(cl.Close)
	return cl
}

func (s *stage) context() context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

// produce publishes records as they are, in their order, to partition 0.
func (s *stage) produce(records ...*kgo.Record) {
	s.t.Helper()
	for _, r := range records {
		r.Topic = names.Pending(s.queue)
	}
	if err := s.client.ProduceSync(s.context(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// handle keeps every task of the type that runs, and answers nil.
func (s *stage) handle(typ string) {
	s.t.Helper()
	err := s.mux.Handle(typ, func(_ context.Context, t *task.Task) error {
		kept := *t
		kept.Payload = slices.Clone(t.Payload)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ran = append(s.ran, &kept)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// consume starts a consumer and returns what waits until n records are settled and then stops it.
func (s *stage) consume(concurrency int) (await func(n int)) {
	s.t.Helper()
	c, err := consumer.New(consumer.Config{
		Kafka: []kgo.Opt{kgo.SeedBrokers(s.brokers...)}, Prefix: s.queue, Queues: []consumer.Queue{{Name: s.queue}},
		Mux: s.mux, Node: "interop", Concurrency: concurrency, Settled: s.observe, Log: zaptest.NewLogger(s.t),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	end := sync.OnceValue(func() error { stop(); return <-done })
	s.t.Cleanup(func() { _ = end() }) // its error, if any, was reported below or the test has failed already
	return func(n int) {
		s.t.Helper()
		s.await(n)
		if err := end(); err != nil {
			s.t.Error(err)
		}
	}
}

func (s *stage) observe(e consumer.Settled) {
	s.mu.Lock()
	s.settled = append(s.settled, e)
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *stage) await(n int) {
	s.t.Helper()
	ctx := s.context()
	for {
		s.mu.Lock()
		got := len(s.settled)
		s.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			s.t.Fatalf("%d of %d records are settled", got, n)
		}
	}
}

// finished fails the test unless every record of the topic is committed: nothing can run any more.
func (s *stage) finished() {
	s.t.Helper()
	lags, err := kadm.NewClient(s.client).Lag(s.context(), names.Group(s.queue, s.queue))
	if err != nil {
		s.t.Fatal(err)
	}
	for group, l := range lags {
		if l.Error() != nil || l.Lag.Total() != 0 {
			s.t.Errorf("group %s has not committed %d records (%v)", group, l.Lag.Total(), l.Error())
		}
	}
}

// ids lists what ran, in its order.
func (s *stage) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]string, 0, len(s.ran))
	for _, t := range s.ran {
		ids = append(ids, t.ID)
	}
	return ids
}

// letters reads n letters, and fails the test if the dead-letter topic has another number.
func (s *stage) letters(n int) []*kgo.Record {
	s.t.Helper()
	ends, err := kadm.NewClient(s.client).ListEndOffsets(s.context(), names.Dead(s.queue))
	if err != nil {
		s.t.Fatal(err)
	}
	total := 0
	ends.Each(func(o kadm.ListedOffset) { total += int(o.Offset) })
	if total != n {
		s.t.Fatalf("the dead-letter topic has %d letters, want %d", total, n)
	}
	cl := s.connect(kgo.ConsumeTopics(names.Dead(s.queue)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var letters []*kgo.Record
	for len(letters) < n {
		fetches := cl.PollFetches(s.context())
		if err := fetches.Err(); err != nil {
			s.t.Fatal(err)
		}
		letters = append(letters, fetches.Records()...)
	}
	return letters
}
