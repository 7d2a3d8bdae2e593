package pipeline

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/embedded"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// onBoth runs a test on the embedded stack and on real Kafka.
func onBoth(t *testing.T, test func(t *testing.T, brokers []string)) {
	t.Run("embedded", func(t *testing.T) { test(t, embed(t).KafkaAddrs()) })
	t.Run("kafka", func(t *testing.T) { test(t, testenv.Kafka(t)) })
}

// onAll runs a test with fleets of all kinds: with claims and without, on the embedded stack and on real servers.
func onAll(t *testing.T, test func(t *testing.T, f *fleet)) {
	t.Run("embedded", func(t *testing.T) {
		stack := embed(t)
		f := newFleet(t, stack.KafkaAddrs())
		f.redis, f.etcd = []string{stack.RedisAddr()}, stack.EtcdEndpoints()
		test(t, f)
	})
	t.Run("kafka", func(t *testing.T) { test(t, newFleet(t, testenv.Kafka(t))) })
	t.Run("claims", func(t *testing.T) { test(t, claimed(t)) })
}

// embed starts the embedded stack, which stops with the test.
func embed(t *testing.T) *embedded.Stack {
	t.Helper()
	stack, err := embedded.Start(t.Context(), embedded.Config{})
	must(t, err)
	t.Cleanup(func() {
		if err := stack.Close(); err != nil {
			t.Error(err)
		}
	})
	return stack
}

func TestStopInTheMiddle(t *testing.T) {
	onAll(t, func(t *testing.T, f *fleet) {
		const n = 10_000
		f.load(n, 50, 50)
		first := f.start()
		f.await(n / 4)
		first.stop()
		if f.ended() == n {
			t.Fatal("all tasks had ended before the stop: this shows nothing")
		}
		if f.redis != nil {
			states := f.states(n)
			t.Logf("after the stop tasks are %v", states)
			if states[task.Running] > 0 || states[task.Succeeded] != f.ended() {
				t.Errorf("%d tasks have ended, and after the stop they are %v", f.ended(), states)
			}
		}
		second := f.start()
		f.await(n)
		second.stop()
		f.onceEach(n)
	})
}

func TestRollingRestart(t *testing.T) {
	onAll(t, func(t *testing.T, f *fleet) {
		const n = 20_000
		f.load(n, 80, 80)
		nodes := []*process{f.start(), f.start(), f.start()}
		for i := range nodes {
			f.await((i + 1) * n / 5)
			nodes[i].stop()
			nodes[i] = f.start()
		}
		if f.ended() == n {
			t.Fatal("all tasks had ended before the last restart: this shows nothing")
		}
		f.await(n)
		for _, p := range nodes {
			p.stop()
		}
		f.onceEach(n)
	})
}

// TestKilledNodeLosesNothing: without claims what it had not committed runs again, and nothing is lost.
func TestKilledNodeLosesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		const n = 5_000
		f := newFleet(t, brokers)
		nodes := f.ready(2)
		f.load(n, 20, 20)
		f.await(n / 5)
		nodes[0].kill()
		f.await(n)
		nodes[1].stop()
	})
}

// TestKafkaRestarts: a broker that is killed and comes back costs nothing but time.
func TestKafkaRestarts(t *testing.T) {
	const n = 5_000
	kafka := testenv.StartKafka(t)
	f := newFleet(t, kafka.Addrs())
	f.load(n, 20, 20)
	node := f.start()
	f.await(n / 5)
	if err := kafka.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := kafka.Start(); err != nil {
		t.Fatal(err)
	}
	f.await(n)
	node.stop()
}

// TestMemoryIsFlat runs a million tasks through a consumer and compares its heap early and late.
func TestMemoryIsFlat(t *testing.T) {
	const n = 1_000_000
	brokers := testenv.Kafka(t)
	f := newFleet(t, brokers)
	f.load(n, 0, 0)

	var ran atomic.Int64
	marks := map[int64]chan struct{}{n / 5: make(chan struct{}), n * 4 / 5: make(chan struct{}), n: make(chan struct{})}
	mux := consumer.NewMux()
	if err := mux.Handle(work.Name(), func(context.Context, *task.Task) error {
		if mark, ok := marks[ran.Add(1)]; ok {
			close(mark)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	c, err := consumer.New(consumer.Config{
		Kafka: []kgo.Opt{kgo.SeedBrokers(brokers...)}, Queues: []consumer.Queue{{Name: f.queue}}, Mux: mux,
		MaxInflightBytes: 4 << 20, // so that what is fetched ahead does not hide what stays
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	heap := func(at int64) uint64 {
		select {
		case <-marks[at]:
		case <-time.After(5 * time.Minute):
			t.Fatalf("%d of %d tasks ran", ran.Load(), at)
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	early, late := heap(n/5), heap(n*4/5)
	t.Logf("heap after %d tasks: %d KiB, after %d: %d KiB", n/5, early>>10, n*4/5, late>>10)
	const slack = 24 << 20 // what one fetch more or less makes
	if late > early+slack {
		t.Errorf("the heap grew from %d MiB to %d MiB", early>>20, late>>20)
	}
	heap(n)
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	adm, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer adm.Close()
	lags, err := kadm.NewClient(adm).Lag(context.Background(), names.Group("tasktier", f.queue))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lags {
		if lag := l.Lag.Total(); lag != 0 {
			t.Errorf("%d records are not committed after a clean stop", lag)
		}
	}
}
