package tier

import (
	"context"
	"testing"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A record that has a home goes there, whatever its key says and whether its partition can be written now. A home that
// does not exist is none.
func TestHome(t *testing.T) {
	const n = 12
	for name, key := range map[string][]byte{"with a key": []byte("key"), "without a key": nil} {
		t.Run(name, func(t *testing.T) {
			p := Homing("p").ForTopic("q.pending")
			for home := range int32(n) {
				r := &kgo.Record{Key: key, Context: Home(home)}
				if got := p.Partition(r, n); got != int(home) || !p.RequiresConsistency(r) {
					t.Errorf("one of partition %d goes to %d", home, got)
				}
			}
			for _, home := range []int32{-1, -1 << 31, n, n + 1, 1<<31 - 1} {
				if got := p.Partition(&kgo.Record{Key: key, Context: Home(home)}, n); got < 0 || got >= n {
					t.Errorf("one of partition %d, which does not exist, goes to %d", home, got)
				}
			}
		})
	}
}

// A record without a home goes where it would go by kgo's default: by its key; and without one, batch by batch, to one
// partition after the other.
func TestNoHome(t *testing.T) {
	const n = 12
	here, there := Homing("p").ForTopic("q.pending"), kgo.StickyKeyPartitioner(nil).ForTopic("q.pending")
	for _, key := range []string{"a", "b", "c", "d"} {
		r := &kgo.Record{Key: []byte(key), Context: context.Background()}
		if got, want := here.Partition(r, n), there.Partition(r, n); got != want || !here.RequiresConsistency(r) {
			t.Errorf("key %q goes to %d, and by default to %d", key, got, want)
		}
	}
	r := &kgo.Record{Context: context.Background()}
	if here.RequiresConsistency(r) {
		t.Error("a record that could go anywhere waits for one partition")
	}
	batches, ok := here.(kgo.TopicPartitionerOnNewBatch)
	if !ok {
		t.Fatal("it hears of no new batch: all records without a key go to one partition for good")
	}
	seen := make(map[int]bool)
	for range 200 {
		first := here.Partition(r, n)
		if again := here.Partition(r, n); again != first {
			t.Fatalf("within a batch records go to %d and %d", first, again)
		}
		seen[first] = true
		batches.OnNewBatch()
	}
	if len(seen) != n {
		t.Errorf("200 batches went to %d of %d partitions", len(seen), n)
	}
}

// In the tiers a record keeps the partition of its slot, home or not.
func TestHomeIsOfQueuesOnly(t *testing.T) {
	for _, topic := range []string{names.RetryMinute("p"), names.RetryHour("p")} {
		p := Homing("p").ForTopic(topic)
		for _, r := range []*kgo.Record{{Partition: 7, Key: []byte("key"), Context: context.Background()}, {Partition: 7, Context: Home(3)}} {
			if got := p.Partition(r, 48); got != 7 {
				t.Errorf("%s: one of slot 7 goes to %d", topic, got)
			}
		}
		if _, ok := p.(kgo.TopicPartitionerOnNewBatch); ok {
			t.Errorf("%s: its partitioner is locked for a batch that changes nothing", topic)
		}
	}
}
