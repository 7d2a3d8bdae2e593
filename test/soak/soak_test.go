package soak

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/tasktier/tasktier/producer"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// length is how long the soak takes.
func length(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SOAK")
	if text == "" {
		return 45 * time.Second
	}
	d, err := time.ParseDuration(text)
	must(t, err)
	if d < 30*time.Second {
		t.Fatalf("SOAK is %s: below 30s the early window has no claims that expire", d)
	}
	return d
}

const queue = "soak"

// TestSoak: nothing grows in the node, in Redis and in etcd with the time that a steady load lasts.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute: ./check long runs it")
	}
	const partitions = 12
	total := length(t)
	brokers := testenv.Kafka(t)
	redis := testenv.StartRedis(t)
	etcd := testenv.StartEtcd(t, "--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1m")

	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	must(t, err)
	specs := append(topic.Specs("tasktier", []topic.Queue{{Name: queue, Partitions: partitions, MaxBytes: 1 << 20}}), topic.Tiers("tasktier", 1<<20, 0)...)
	must(t, topic.Ensure(t.Context(), kadm.NewClient(client), specs, true))
	client.Close()

	dir, err := os.MkdirTemp("", "tasktier-soak-") //nolint:usetesting // it stays when the test has failed
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of the node: %s", dir)
		} else {
			must(t, os.RemoveAll(dir))
		}
	})
	config := filepath.Join(dir, "tasktier.yaml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `kafka: {brokers: [%[1]s]}
redis: {addresses: [%[2]s]}
etcd: {endpoints: [%[3]s]}
node: {http: "", drain: 20s}
queues:
  %[5]s: {partitions: %[6]d, window: %[4]s, id_window: %[4]s, retry: {base: 500ms, max: 1s}}
types:
  locked: {limit: 1}
`, strings.Join(brokers, ", "), redis.Addr(), strings.Join(etcd.Endpoints(), ", "), remembered, queue, partitions), 0o600))
	log, err := os.Create(filepath.Join(dir, "node.log"))
	must(t, err)
	defer log.Close()
	n := start(t, config, log)
	s := watch(t, redis.Addr(), etcd.Endpoints())

	l := &load{t: t}
	l.producer, err = producer.New(producer.Config{Brokers: brokers, Queue: queue})
	must(t, err)
	defer func() { must(t, l.producer.Close(context.WithoutCancel(t.Context()))) }()
	ctx, cancel := context.WithTimeout(t.Context(), total)
	defer cancel()
	var sending sync.WaitGroup
	sending.Go(func() { l.run(ctx) })
	samples := take(ctx, total, n, s)
	sending.Wait()

	var done int64
	for from := time.Now(); ; {
		if done = n.inside().Done; done >= l.sent.Load() {
			break
		}
		if time.Since(from) > time.Minute {
			t.Fatalf("of %d tasks %d are done a minute later", l.sent.Load(), done)
		}
		<-time.After(100 * time.Millisecond)
	}
	n.stop()

	var table strings.Builder
	faults := grown(&table, samples, total)
	t.Logf("%d tasks in %s\n%s", done, total, table.String())
	if want := int64(total.Seconds() * rate / 2); done < want {
		t.Errorf("%d tasks were sent, and %d were to be: this shows little", done, want)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// take takes samples until ctx ends.
func take(ctx context.Context, total time.Duration, n *node, s *servers) (samples []sample) {
	from := time.Now()
	tick := time.NewTicker(max(time.Second, total/200))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return samples
		case <-tick.C:
		}
		at := sample{at: time.Since(from)}
		is := n.inside()
		asking := context.WithoutCancel(ctx)
		keys := s.keys(asking)
		v := &at.values
		v[0], v[1], v[2] = float64(is.Heap), float64(is.Goroutines), float64(n.files())
		v[3], v[4], v[5], v[6] = keys.old, keys.details, keys.counters, keys.others
		v[7] = max(s.data(asking)-keys.claims*claimBytes, 0)
		v[8], v[9] = s.registry(asking)
		samples = append(samples, at)
	}
}

const (
	// remembered is for how long Redis keeps what is finished, and forgotten is when it is surely gone.
	remembered = 12 * time.Second
	forgotten  = 20 * time.Second
	// claimBytes is more than a claim takes in Redis, with its details if it has some.
	claimBytes = 300
)
