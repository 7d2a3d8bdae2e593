package simulation

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// An observer reads the queue and the tiers, and checks their records and what groups commit.
type observer struct {
	*simulation
	mu        sync.Mutex
	entries   []*entry
	next      map[string]map[int32]int64 // the offsets behind entries
	forwarded map[turnKey][]time.Time    // when forwarders wrote to the queue
	unchecked []*entry                   // of the queue, and not yet checked for their time
}

// An entry is a record of the queue or of a tier.
type entry struct {
	*kgo.Record
	pending bool // in the queue; else in a tier
	id      string
	g, t    int
	due     time.Time
	checked map[string]bool // by prefix: it is committed, and that was checked
}

func (e *entry) String() string {
	return fmt.Sprintf("%s %d.%d at %s/%d/%d", e.id, e.g, e.t, e.Topic, e.Partition, e.Offset)
}

// tierPartitions is how many partitions of the minute tiers are read: nothing is due later than that many minutes after the
// start.
const tierPartitions = 24

// topics yields the topics that are read, with the number of partitions.
func (o *observer) topics() iter.Seq2[string, int32] {
	return func(yield func(string, int32) bool) {
		if !yield(names.Pending("tasks"), 2) {
			return
		}
		for _, prefix := range o.installations() {
			if !yield(names.RetryMinute(prefix), tierPartitions) {
				return
			}
		}
	}
}

func (m *simulation) newObserver() *observer {
	o := &observer{simulation: m, next: make(map[string]map[int32]int64), forwarded: make(map[turnKey][]time.Time)}
	all := make(map[string]map[int32]kgo.Offset)
	for topic, partitions := range o.topics() {
		all[topic], o.next[topic] = make(map[int32]kgo.Offset), make(map[int32]int64)
		for p := range partitions {
			all[topic][p] = kgo.NewOffset().At(0)
		}
	}
	client := m.kafka.Client(kgo.ConsumePartitions(all), kgo.Rack(ownRack), kgo.MetadataMinAge(100*time.Millisecond), kgo.FetchMaxWait(2*time.Second))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	m.t.Cleanup(func() {
		cancel()
		<-done
	})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(o.add)
		}
	}()
	return o
}

func (o *observer) add(r *kgo.Record) {
	var tk task.Task
	stamp, err := record.ReadStamp(r)
	if err := errors.Join(err, record.Decode(r, &tk)); err != nil {
		o.t.Errorf("%s/%d/%d: %v", r.Topic, r.Partition, r.Offset, err)
		return
	}
	e := &entry{Record: r, pending: r.Topic == names.Pending("tasks"), id: tk.ID, g: tk.Generation, t: tk.Turn, due: stamp.Due, checked: make(map[string]bool)}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.entries = append(o.entries, e)
	o.next[r.Topic][r.Partition] = r.Offset + 1
	o.simulation.mu.Lock()
	copied := o.tasks[e.id] == nil || o.tasks[e.id].sent > 1
	o.simulation.mu.Unlock()
	if e.pending && !copied { // else this may be a copy of a record that came in time
		o.unchecked = append(o.unchecked, e)
	}
}

// checkForwardTimes checks that no record was forwarded from a tier before it was due. The caller has made sure that all
// records are read, because several attempts may have written one turn, and the observer reads their tiers in any order.
// o.mu is held.
func (o *observer) checkForwardTimes() {
	for _, e := range o.unchecked {
		o.checkForwardTime(e)
	}
	o.unchecked = nil
}

// checkForwardTime checks one record. o.mu is held.
func (o *observer) checkForwardTime(e *entry) {
	var first *entry
	for _, other := range o.entries {
		if !other.pending && other.id == e.id && other.g == e.g && other.t == e.t && other.Timestamp.Before(e.Timestamp) && (first == nil || other.due.Before(first.due)) {
			first = other
		}
	}
	if first != nil && e.Timestamp.Before(first.due) {
		o.errorf("%s was written at %s, %v before %s is due", e, e.Timestamp.Format("04:05.000"), first.due.Sub(e.Timestamp), first)
	}
}

// OnProduceRecordUnbuffered notes what forwarders write to the queue: an observer is a hook of their clients.
func (o *observer) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	var tk task.Task
	if err != nil || r.Topic != names.Pending("tasks") || record.Decode(r, &tk) != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forwarded[turnKey{tk.ID, tk.Generation, tk.Turn}] = append(o.forwarded[turnKey{tk.ID, tk.Generation, tk.Turn}], time.Now())
}

type turnKey struct {
	id   string
	g, t int
}

// checkForwarded checks that forwarders wrote nothing more often than it was in a tier, except for what they could not commit
// because they were disturbed, and that undisturbed they wrote it in time.
func (o *observer) checkForwarded() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for limit := time.Now().Add(time.Minute); !o.upToDate(); {
		if time.Now().After(limit) {
			o.errorf("the observer has not read all records")
			return
		}
		o.mu.Unlock()
		time.Sleep(time.Second)
		o.mu.Lock()
	}
	o.checkForwardTimes()
	waited, due := make(map[turnKey]int), make(map[turnKey]time.Time)
	for _, e := range o.entries {
		if k := (turnKey{e.id, e.g, e.t}); !e.pending {
			waited[k]++
			due[k] = e.due
		}
	}
	for k, at := range o.forwarded {
		if most := waited[k] * (1 + o.disturbances); len(at) > most {
			o.errorf("turn %d.%d of %s was forwarded %d times, more than %d", k.g, k.t, k.id, len(at), most)
		}
		if late := at[len(at)-1].Sub(due[k]); o.disturbances == 0 && late > maxDelay {
			o.errorf("turn %d.%d of %s was forwarded %v late", k.g, k.t, k.id, late)
		}
	}
}

// maxDelay is how late a record may be forwarded while forwarders only start and stop.
const maxDelay = 15 * time.Second

func (o *observer) errorf(format string, args ...any) {
	o.t.Helper()
	o.t.Errorf("%s %s", time.Now().Format("04:05.000"), fmt.Sprintf(format, args...))
}

// randomPending returns a record of the queue, nil if there is none.
func (o *observer) randomPending(rng *rand.Rand) *entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	var pending []*entry
	for _, e := range o.entries {
		if e.pending {
			pending = append(pending, e)
		}
	}
	if len(pending) == 0 {
		return nil
	}
	return pending[rng.IntN(len(pending))]
}

// upToDate reports whether all records are read. o.mu is held.
func (o *observer) upToDate() bool {
	for topic := range o.topics() {
		for _, p := range o.kafka.PartitionInfos(topic) {
			if p.HighWatermark != o.next[topic][p.Partition] {
				return false
			}
		}
	}
	return true
}
