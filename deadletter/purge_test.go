package deadletter_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestPurge(t *testing.T) {
	on(t, 3, func(t *testing.T, g *ground) {
		g.bury(many(50)...)
		g.bury(death{id: "1", generation: 1, typ: "other", died: epoch.Add(time.Hour)})
		last := int64(0)
		got, err := g.store.Purge(t.Context(), g.queue, deadletter.Filter{Types: []string{"mail.send"}, Limit: 48}, deadletter.WithPurged(func(n, of int64) {
			if n != last+1 || of != 48 {
				t.Errorf("%d of %d after %d", n, of, last)
			}
			last = n
		}))
		if want := (deadletter.PurgeResult{Matched: 48, Purged: 48}); err != nil || got != want || last != 48 {
			t.Errorf("%+v, %v; told of %d", got, err, last)
		}
		if left := ids(g.list(deadletter.Filter{})); !slices.Equal(left, []string{"48", "49", "1#1"}) {
			t.Errorf("left are %q", left)
		}
		again, err := g.store.Purge(t.Context(), g.queue, deadletter.Filter{IDs: []string{"0"}})
		if err != nil || again != (deadletter.PurgeResult{}) {
			t.Errorf("a second time: %+v, %v", again, err)
		}
	})
}

// A tombstone goes to where its letter lies, also after partitions were added and its key belongs elsewhere.
func TestPurgeAfterPartitionsWereAdded(t *testing.T) {
	onKafka(t, 1, func(t *testing.T, g *ground) {
		g.bury(many(20)...)
		if _, err := kadm.NewClient(g.client).UpdatePartitions(t.Context(), 8, names.Dead(g.queue)); err != nil {
			t.Fatal(err)
		}
		result, err := g.store.Purge(t.Context(), g.queue, deadletter.Filter{})
		if err != nil || result.Purged != 20 {
			t.Fatalf("%+v, %v", result, err)
		}
		if left := g.list(deadletter.Filter{}); len(left) != 0 {
			t.Errorf("%q are left", ids(left))
		}
	})
}

// What the broker refuses is still there, and the result says so.
func TestPurgeRefused(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	g := newGround(t, cluster.ListenAddrs(), 2, nil)
	g.bury(many(10)...)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	result, err := g.store.Purge(t.Context(), g.queue, deadletter.Filter{})
	if !errors.Is(err, kerr.TopicAuthorizationFailed) || result.Matched != 10 || result.Purged != 0 || result.Failed != 10 {
		t.Errorf("%+v, %v", result, err)
	}
	if n := len(g.list(deadletter.Filter{})); n != 10 {
		t.Errorf("%d are left", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.store.Purge(ctx, g.queue, deadletter.Filter{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a purge whose context has ended: %v", err)
	}
}

// Compaction removes dead letters that were replaced or purged; the list is the same before, during and after it.
// Pitfall 24 of docs/pitfalls.md.
func TestListIsTheSameAcrossCompaction(t *testing.T) {
	for _, name := range []string{"kfake", "kafka"} {
		t.Run(name, func(t *testing.T) {
			clean := func() {} // Kafka does it by itself
			var addrs []string
			if name == "kfake" {
				cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(cluster.Close)
				addrs, clean = cluster.ListenAddrs(), cluster.Compact
			} else {
				addrs = testenv.Kafka(t)
			}
			// Segments are closed at once and compacted as soon as the cleaner comes by.
			g := newGround(t, addrs, 2, map[string]string{
				"segment.ms": "100", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.001", "max.compaction.lag.ms": "100",
				"min.compaction.lag.ms": "0", "delete.retention.ms": "0", "file.delete.delay.ms": "0",
			})
			check := func(when string, want []string) {
				t.Helper()
				if got := ids(g.list(deadletter.Filter{})); !slices.Equal(got, want) {
					t.Errorf("%s there are %d letters: %q, want %q", when, len(got), got, want)
				}
				if st, err := g.store.Stats(t.Context(), g.queue, deadletter.Filter{}); err != nil || st.Letters != int64(len(want)) {
					t.Errorf("%s stats count %d, want %d (%v)", when, st.Letters, len(want), err)
				}
			}
			g.bury(many(300)...)
			g.bury(many(300)...) // each is replaced once
			all := ids(g.list(deadletter.Filter{}))
			check("before", all)
			result, err := g.store.Purge(t.Context(), g.queue, deadletter.Filter{Until: epoch.Add(200 * time.Millisecond)})
			if err != nil || result.Purged != 200 {
				t.Fatalf("%+v, %v", result, err)
			}
			check("right after the purge", all[200:])

			records := g.compacted(clean, 150)
			t.Logf("of 800 records %d are left", records)
			check("after compaction", all[200:])
			result, err = g.store.Purge(t.Context(), g.queue, deadletter.Filter{IDs: []string{"250", "299"}})
			if err != nil || result.Purged != 2 {
				t.Fatalf("%+v, %v", result, err)
			}
			want := slices.DeleteFunc(slices.Clone(all[200:]), func(id string) bool { return id == "250" || id == "299" })
			check("after another purge", want)
		})
	}
}

// compacted waits until Kafka has compacted the topic to at most so many records, and says how many there are. Segments are
// closed by what comes behind them, so records come until then: letters of one key, with their tombstone at the end.
func (g *ground) compacted(clean func(), most int) int {
	g.t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		for _, p := range []int32{0, 1} {
			g.nudge(p)
		}
		clean()
		if n := g.records(); n <= most {
			return n
		}
	}
	g.t.Fatalf("after a minute there are still %d records", g.records())
	return 0
}

func (g *ground) nudge(partition int32) {
	g.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(g.addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		g.t.Fatal(err)
	}
	defer client.Close()
	r := &kgo.Record{Topic: names.Dead(g.queue), Partition: partition, Key: []byte("nudge")}
	if err := client.ProduceSync(g.t.Context(), r).FirstErr(); err != nil {
		g.t.Fatal(err)
	}
}

// records counts what lies in the topic, as a consumer sees it.
func (g *ground) records() (n int) {
	g.t.Helper()
	ends, err := kadm.NewClient(g.client).ListEndOffsets(g.t.Context(), names.Dead(g.queue))
	if err != nil {
		g.t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(g.addrs...), kgo.ConsumeTopics(names.Dead(g.queue)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		g.t.Fatal(err)
	}
	defer client.Close()
	open := make(map[int32]int64)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			open[o.Partition] = o.Offset
		}
	})
	for len(open) > 0 {
		fetches := client.PollFetches(g.t.Context())
		if err := fetches.Err(); err != nil {
			g.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			if r.Offset >= open[r.Partition]-1 { // the last record is never compacted
				delete(open, r.Partition)
			}
		})
	}
	return n
}
