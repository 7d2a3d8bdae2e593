package pipeline

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/embedded"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// onBoth runs a test on real Kafka and, in full runs, on the embedded stack.
func onBoth(t *testing.T, test func(t *testing.T, brokers []string)) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		onlyInFull(t)
		t.Parallel()
		test(t, embed(t).KafkaAddrs())
	})
	t.Run("kafka", func(t *testing.T) {
		t.Parallel()
		test(t, testenv.Kafka(t))
	})
}

// onAll runs a test with a fleet that has claims on real servers and, in full runs, with one on the embedded stack and one
// without claims.
func onAll(t *testing.T, test func(t *testing.T, f *fleet)) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		onlyInFull(t)
		t.Parallel()
		test(t, embeddedClaims(t))
	})
	t.Run("kafka", func(t *testing.T) {
		onlyInFull(t)
		t.Parallel()
		test(t, newFleet(t, testenv.Kafka(t)))
	})
	t.Run("claims", func(t *testing.T) {
		t.Parallel()
		test(t, claimed(t))
	})
}

// onlyInFull skips a test under -short, which takes one pass on real servers.
func onlyInFull(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short takes one pass on real servers: ./check long runs all of them")
	}
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
		const n = 2000
		f.concurrency = 40
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
		const n = 2400
		f.concurrency = 20
		f.load(n, 150, 150)
		nodes := []*process{f.start(), f.start(), f.start()}
		for i := range nodes {
			f.await((i + 1) * n / 6)
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
	onlyInFull(t)
	onBoth(t, func(t *testing.T, brokers []string) {
		const n = 1000
		f := newFleet(t, brokers)
		f.concurrency, f.ttl = 20, shortTTL
		nodes := f.ready(2)
		f.load(n, 50, 50)
		f.await(n / 5)
		nodes[0].kill()
		if f.ended() == n {
			t.Fatal("all tasks had ended before the kill: this shows nothing")
		}
		f.await(n)
		nodes[1].stop()
	})
}

// TestKafkaRestarts: a broker that is killed and comes back costs nothing but time.
func TestKafkaRestarts(t *testing.T) {
	onlyInFull(t)
	t.Parallel()
	const n = 2000
	kafka := testenv.StartKafka(t)
	f := newFleet(t, kafka.Addrs())
	f.concurrency = 20
	f.load(n, 50, 50)
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

// TestMemoryIsFlat runs many tasks through a consumer and compares its heap early and late, each time while its handlers are
// held up: then what is in memory is what the in-flight limit allows.
func TestMemoryIsFlat(t *testing.T) {
	onlyInFull(t)
	const n = 200_000
	brokers := testenv.Kafka(t)
	f := newFleet(t, brokers)
	f.open()
	// Not compressed: of small records that are, very many are fetched at once.
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ProducerBatchCompression(kgo.NoCompression()))
	must(t, err)
	for i := range n {
		cl.Produce(t.Context(), record.Encode(work.New(workload{}, task.ID(fmt.Sprint(i))), names.Pending(f.queue)), func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	must(t, cl.Flush(t.Context()))
	cl.Close()

	var ran atomic.Int64
	var gate sync.RWMutex // closed while the heap is measured
	marks := make(map[int64]chan struct{})
	for i := range int64(20) {
		marks[(i+1)*n/20] = make(chan struct{})
	}
	mux := consumer.NewMux()
	if err := mux.Handle(work.Name(), func(context.Context, *task.Task) error {
		gate.RLock()
		defer gate.RUnlock()
		if mark, ok := marks[ran.Add(1)]; ok {
			close(mark)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	c, err := consumer.New(consumer.Config{
		Kafka: []kgo.Opt{kgo.SeedBrokers(brokers...)}, Queues: []consumer.Queue{{Name: f.queue}}, Mux: mux,
		MaxInflightBytes: 1 << 20, // so that what is fetched ahead does not hide what stays
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	await := func(at int64) {
		select {
		case <-marks[at]:
		case <-time.After(5 * time.Minute):
			t.Fatalf("%d of %d tasks ran", ran.Load(), at)
		}
	}
	heap := func() uint64 {
		gate.Lock()
		defer gate.Unlock()
		runtime.GC()
		runtime.GC() // what pools keep survives one
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	least := func(from, to int64) uint64 { // a fetch more or less is no growth
		least := uint64(math.MaxUint64)
		for i := from; i <= to; i++ {
			await(i * n / 20)
			least = min(least, heap())
		}
		return least
	}
	early, late := least(3, 7), least(15, 19)
	t.Logf("heap after %d tasks: %d KiB, after %d: %d KiB", 5*n/20, early>>10, 17*n/20, late>>10)
	const slack = 6 << 20 // a leak of 50 bytes a task is more
	if late > early+slack {
		t.Errorf("the heap grew from %d KiB to %d KiB", early>>10, late>>10)
	}
	await(n)
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	adm, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer adm.Close()
	lags, err := kadm.NewClient(adm).Lag(context.Background(), names.Group(f.queue, f.queue))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lags {
		if lag := l.Lag.Total(); lag != 0 {
			t.Errorf("%d records are not committed after a clean stop", lag)
		}
	}
}
