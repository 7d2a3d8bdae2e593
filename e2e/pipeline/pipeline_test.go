package pipeline

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/embedded"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// onBoth runs a test on the embedded stack and on real Kafka.
func onBoth(t *testing.T, test func(t *testing.T, brokers []string)) {
	t.Run("embedded", func(t *testing.T) {
		stack, err := embedded.Start(t.Context(), embedded.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := stack.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(t, stack.KafkaAddrs())
	})
	t.Run("kafka", func(t *testing.T) { test(t, testenv.Kafka(t)) })
}

// send makes the queue's topics, as a node would, and publishes n tasks "0", "1", ….
func (f *fleet) send(n, milliseconds int) {
	f.t.Helper()
	ctx := f.t.Context()
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.brokers...))
	if err != nil {
		f.t.Fatal(err)
	}
	defer cl.Close()
	specs := topic.Specs("tasktier", []topic.Queue{{Name: f.queue, Partitions: 12, MaxBytes: 1 << 20}})
	if err := topic.Ensure(ctx, kadm.NewClient(cl), specs, true); err != nil {
		f.t.Fatal(err)
	}
	p, err := producer.New(producer.Config{Brokers: f.brokers, Queue: f.queue})
	if err != nil {
		f.t.Fatal(err)
	}
	tasks := make([]*task.Task, n)
	for i := range tasks {
		tasks[i] = work.New(workload{milliseconds}, task.ID(fmt.Sprint(i)))
	}
	for batch := range slices.Chunk(tasks, 5000) {
		if err := p.Send(ctx, batch...); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := p.Close(ctx); err != nil {
		f.t.Fatal(err)
	}
}

// onceEach fails the test unless each of n tasks started once and ended once.
func (f *fleet) onceEach(n int) {
	f.t.Helper()
	starts, ends := f.runs()
	lost, twice := 0, 0
	for i := range n {
		id := fmt.Sprint(i)
		if ends[id] == 0 {
			lost++
		}
		if starts[id] > 1 || ends[id] > 1 {
			twice++
		}
	}
	if lost > 0 || twice > 0 || len(starts) != n {
		f.t.Errorf("of %d tasks %d were lost, %d ran twice, %d were started", n, lost, twice, len(starts))
	}
}

func TestStopInTheMiddle(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		const n = 10_000
		f := newFleet(t, brokers)
		f.send(n, 50)
		first := f.start()
		f.await(n / 4)
		first.stop()
		if _, ends := f.runs(); len(ends) == n {
			t.Fatal("all tasks had ended before the stop: this shows nothing")
		}
		second := f.start()
		f.await(n)
		second.stop()
		f.onceEach(n)
	})
}

func TestRollingRestart(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		const n = 20_000
		f := newFleet(t, brokers)
		f.send(n, 50)
		nodes := []*process{f.start(), f.start(), f.start()}
		for i := range nodes {
			f.await((i + 1) * n / 5)
			nodes[i].stop()
			nodes[i] = f.start()
		}
		if _, ends := f.runs(); len(ends) == n {
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
		f.send(n, 20)
		victim, other := f.start(), f.start()
		f.await(n / 5)
		victim.kill()
		f.await(n)
		other.stop()
	})
}

// TestKafkaRestarts: a broker that is killed and comes back costs nothing but time.
func TestKafkaRestarts(t *testing.T) {
	const n = 5_000
	kafka := testenv.StartKafka(t)
	f := newFleet(t, kafka.Addrs())
	f.send(n, 20)
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
	f.send(n, 0)

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
