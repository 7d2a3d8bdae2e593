package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A queue that has no topic for its letters is an error that names the command which makes it.
func TestNoTopic(t *testing.T) {
	onKafka(t, 1, func(t *testing.T, g *ground) {
		for queue, want := range map[string]string{
			"other":    "there is no such topic: other.dead; create it with: tasktier topic apply --queue other",
			"no/queue": "read dead letters: invalid queue name",
		} {
			_, err := g.store.Stats(t.Context(), queue, deadletter.Filter{})
			if err == nil || !strings.HasPrefix(err.Error(), want) || errors.Is(err, deadletter.ErrNoTopic) != (queue == "other") {
				t.Errorf("%s: %v", queue, err)
			}
		}
	})
}

// A topic without letters has none, and neither has one whose letters were deleted.
func TestEmptyTopic(t *testing.T) {
	on(t, 4, func(t *testing.T, g *ground) {
		if n := len(g.list(deadletter.Filter{})); n != 0 {
			t.Errorf("%d letters", n)
		}
		g.bury(many(3)...) // some partitions stay empty
		if n := len(g.list(deadletter.Filter{})); n != 3 {
			t.Errorf("%d letters", n)
		}
	})
}

// Letters of transactions that were aborted, or are not decided, are none.
func TestReadCommitted(t *testing.T) {
	onKafka(t, 1, func(t *testing.T, g *ground) {
		client, err := kgo.NewClient(kgo.SeedBrokers(g.addrs...), kgo.TransactionalID(g.queue))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		write := func(id string, end kgo.TransactionEndTry) {
			t.Helper()
			if err := client.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := client.ProduceSync(t.Context(), death{id: id, err: id}.record(g.queue)).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := client.EndTransaction(t.Context(), end); err != nil {
				t.Fatal(err)
			}
		}
		g.bury(death{id: "plain", died: epoch.Add(-time.Second)}) // and what follows died later
		write("aborted", kgo.TryAbort)
		write("committed", kgo.TryCommit)
		write("plain", kgo.TryAbort) // would replace it
		got := g.list(deadletter.Filter{})
		if want := []string{"plain", "committed"}; !slices.Equal(ids(got), want) || got[0].Err != "" {
			t.Errorf("%q, want %q", ids(got), want)
		}
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), death{id: "open"}.record(g.queue)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		g.bury(death{id: "behind it", died: epoch.Add(time.Second)})
		if got := ids(g.list(deadletter.Filter{})); !slices.Equal(got, []string{"plain", "committed"}) {
			t.Errorf("with an open transaction: %q", got)
		}
		if err := client.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
		// The end of a transaction is acknowledged before it is written to its partitions.
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			got := ids(g.list(deadletter.Filter{}))
			if slices.Equal(got, []string{"plain", "committed", "behind it"}) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("after it: %q", got)
			}
		}
	})
}

// Reading goes on where records were deleted under it, and in every compression.
func TestDeletedAndCompressed(t *testing.T) {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	onKafka(t, 1, func(t *testing.T, g *ground) {
		g.alter("cleanup.policy", "compact,delete") // Kafka deletes records of no other
		var want []string
		for name, codec := range codecs {
			client, err := kgo.NewClient(kgo.SeedBrokers(g.addrs...), kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(time.Second))
			if err != nil {
				t.Fatal(err)
			}
			for i := range 20 {
				id := fmt.Sprint(name, i)
				want = append(want, id)
				client.Produce(t.Context(), death{id: id, err: strings.Repeat(id, 20), died: epoch.Add(time.Duration(len(want)) * time.Millisecond)}.record(g.queue), nil)
			}
			if err := client.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			client.Close()
		}
		if got := ids(g.list(deadletter.Filter{})); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		before := kadm.Offsets{}
		before.AddOffset(names.Dead(g.queue), 0, 30, -1)
		first := true
		var got []string
		for l, err := range g.store.List(t.Context(), g.queue, deadletter.Filter{}, deadletter.WithProgress(func(int64, int64) {
			if first { // between the two readings
				first = false
				deleted, err := kadm.NewClient(g.client).DeleteRecords(t.Context(), before)
				if err == nil {
					err = deleted.Error()
				}
				if err != nil {
					t.Error(err)
				}
			}
		})) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, l.ID())
		}
		if !slices.Equal(got, want[30:]) {
			t.Errorf("%q, want %q", got, want[30:])
		}
		// A broker still sends the first batch whole, with ten that are deleted.
		if st, err := g.store.Stats(t.Context(), g.queue, deadletter.Filter{}); err != nil || int(st.Letters) != len(want)-30 {
			t.Errorf("read anew: %d letters, want %d (%v)", st.Letters, len(want)-30, err)
		}
	})
}

// Errors of brokers that pass are waited for; others are said at once.
func TestBrokersInTrouble(t *testing.T) {
	tests := []struct {
		err   *kerr.Error
		fatal bool
	}{
		{kerr.NotLeaderForPartition, false}, {kerr.UnknownTopicID, false}, {kerr.LeaderNotAvailable, false}, {kerr.OffsetOutOfRange, false},
		{kerr.UnknownServerError, true}, {kerr.TopicAuthorizationFailed, true},
	}
	for _, tt := range tests {
		t.Run(tt.err.Message, func(t *testing.T) {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			g := newGround(t, cluster.ListenAddrs(), 3, nil)
			g.bury(many(30)...)
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: tt.err, Count: 3})
			stats, err := g.store.Stats(t.Context(), g.queue, deadletter.Filter{})
			switch {
			case tt.fatal && (!errors.Is(err, tt.err) || !strings.Contains(err.Error(), names.Dead(g.queue))):
				t.Errorf("error %v, want %v and the topic", err, tt.err)
			case !tt.fatal && (err != nil || stats.Letters != 30):
				t.Errorf("%d letters, %v", stats.Letters, err)
			}
		})
	}
}

// Leaders that move while a topic is read are found again, and a context that ends is obeyed while they are not.
func TestLeadersMove(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	g := newGround(t, cluster.ListenAddrs(), 6, nil)
	g.bury(many(600)...)
	first := true
	n := 0
	for _, err := range g.store.List(t.Context(), g.queue, deadletter.Filter{}, deadletter.WithProgress(func(int64, int64) {
		if first {
			first = false
			cluster.ShufflePartitionLeaders()
		}
	})) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 600 {
		t.Errorf("%d letters", n)
	}
	refuse := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition, Count: -1})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // ends with the context of the test at the latest
		_ = refuse.Wait(ctx, 3)
		cancel()
	}()
	if _, err := g.store.Stats(ctx, g.queue, deadletter.Filter{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// alter changes a setting of the topic.
func (g *ground) alter(name, value string) {
	g.t.Helper()
	answers, err := kadm.NewClient(g.client).AlterTopicConfigs(g.t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, names.Dead(g.queue))
	if err == nil {
		for _, a := range answers {
			err = a.Err
		}
	}
	if err != nil {
		g.t.Fatal(err)
	}
}
