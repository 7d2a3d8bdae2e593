package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/tasktier/tasktier/retry"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap/zaptest"
)

// A broker that accepts less metadata than was sent refuses the partition's whole commit. The offset is then committed
// without metadata, and later with as much as the broker accepts. Pitfall 26 of docs/pitfalls.md.
func TestOversizedMetadataDoesNotBlockCommits(t *testing.T) {
	if testing.Short() {
		t.Skip("starts two brokers: ./check long runs it; TestCommitIsRepeatedWithoutRefusedMetadata has one in memory")
	}
	for _, limit := range []int{0, 150} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) { metadataTooLarge(t, limit) })
	}
}

func metadataTooLarge(t *testing.T, limit int) {
	t.Helper()
	const tasks = 400 // every other one is held up, for 200 ranges in 400 bytes
	broker := testenv.StartKafka(t, testenv.KafkaSetting("offset.metadata.max.bytes", fmt.Sprint(limit)))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	testenv.CreateTopics(t, client, 1, nil, names.Pending("tasks"), names.Dead("tasks"))
	for i := range tasks {
		typ := "ok"
		if i%2 == 1 {
			typ = "held"
		}
		r := record.Encode(task.New(typ, nil, task.ID(fmt.Sprint("task-", i)), task.Source("/test")), names.Pending("tasks"))
		client.Produce(ctx, r, nil)
	}
	if err := client.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	committed := func() kadm.OffsetResponse {
		offsets, err := kadm.NewClient(client).FetchOffsets(ctx, group)
		if err != nil {
			t.Fatal(err)
		}
		o, _ := offsets.Lookup(names.Pending("tasks"), 0)
		return o
	}

	runs, g := newTally(), newGate()
	var done atomic.Int64
	mux := consumer.NewMux()
	handle(t, mux, "held", func(ctx context.Context, tk *task.Task) error { runs.run(tk); return g.obey(ctx, tk) })
	handle(t, mux, "ok", func(_ context.Context, tk *task.Task) error { runs.run(tk); return nil })
	config := func() (consumer.Config, *bubble.Link) {
		l := bubble.NewLink(new(net.Dialer).DialContext)
		return consumer.Config{
			Kafka:          []kgo.Opt{kgo.SeedBrokers(broker.Addrs()...), kgo.Dialer(l.Dial)},
			Queues:         []consumer.Queue{{Name: "tasks", Retry: retry.Policy{MaxAttempts: 1}}},
			Mux:            mux,
			Concurrency:    tasks,
			SessionTimeout: 6 * time.Second,
			Settled:        func(consumer.Settled) { done.Add(1) },
			Log:            zaptest.NewLogger(t),
		}, l
	}
	s := &stage{t: t}
	cfg, l := config()
	first := s.start(cfg)
	for range tasks / 2 {
		g.await(t)
	}
	eventually(t, "all others finished", func() bool { return done.Load() == tasks/2 })
	eventually(t, "the first commit", func() bool { return committed().At == 1 })
	if limit > 0 {
		eventually(t, "metadata that fits", func() bool { return strings.HasPrefix(committed().Metadata, "1:") })
	}
	// A node that comes later repeats no more than what did not fit.
	l.Cut()
	first.Abort()
	first.end()
	close(g.open)
	cfg, _ = config()
	second := s.start(cfg)
	eventually(t, "the commit of all", func() bool { return committed().At == tasks })
	if err := second.stop(); err != nil {
		t.Error(err)
	}
	if err := first.wait(); err != nil && !errors.Is(err, consumer.ErrAbandoned) {
		t.Error(err)
	}
	repeated := 0
	for i := range tasks {
		n := runs.of(fmt.Sprint("task-", i))
		if n == 0 {
			t.Errorf("task %d never ran", i)
		}
		if i%2 == 0 && n > 1 {
			repeated++
		}
	}
	t.Logf("%d of %d finished tasks ran again", repeated, tasks/2)
	if limit == 0 && repeated < tasks/4 || limit > 0 && repeated > tasks/2-40 {
		t.Errorf("%d of %d finished tasks ran again with at most %d bytes of metadata", repeated, tasks/2, limit)
	}
}
