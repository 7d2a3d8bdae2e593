package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/watermark"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A watch reads the queue and the tiers, and checks what it finds in them and what groups commit.
type watch struct {
	*simulation
	mu   sync.Mutex
	seen []*lying
	next map[string]map[int32]int64 // offsets behind what was seen
	back map[turnKey][]time.Time    // when forwarders wrote to the queue

	unchecked []*lying // what came back, and may have come early
}

// A lying record.
type lying struct {
	*kgo.Record
	pending bool // in the queue; else in a tier
	id      string
	g, t    int
	due     time.Time
	checked map[string]bool // by group: that it may be committed
}

func (l *lying) String() string {
	return fmt.Sprintf("%s %d.%d at %s/%d/%d", l.id, l.g, l.t, l.Topic, l.Partition, l.Offset)
}

// watched is how many partitions of the minute tiers are read: nothing is due later than that many minutes after the start.
const watched = 24

// topics yields what is read, with how many of its partitions.
func (w *watch) topics() iter.Seq2[string, int32] {
	return func(yield func(string, int32) bool) {
		if !yield(names.Pending("tasks"), 2) {
			return
		}
		for _, prefix := range w.installations() {
			if !yield(names.RetryMinute(prefix), watched) {
				return
			}
		}
	}
}

func (m *simulation) newWatch() *watch {
	w := &watch{simulation: m, next: make(map[string]map[int32]int64), back: make(map[turnKey][]time.Time)}
	all := make(map[string]map[int32]kgo.Offset)
	for topic, partitions := range w.topics() {
		all[topic], w.next[topic] = make(map[int32]kgo.Offset), make(map[int32]int64)
		for p := range partitions {
			all[topic][p] = kgo.NewOffset().At(0)
		}
	}
	client := m.s.dial(kgo.ConsumePartitions(all), kgo.Rack(ownRack), kgo.MetadataMinAge(100*time.Millisecond), kgo.FetchMaxWait(2*time.Second))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	m.t.Cleanup(func() {
		cancel()
		<-done
	})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(w.see)
		}
	}()
	return w
}

func (w *watch) see(r *kgo.Record) {
	var tk task.Task
	stamp, err := record.ReadStamp(r)
	if err := errors.Join(err, record.Decode(r, &tk)); err != nil {
		w.t.Errorf("%s/%d/%d: %v", r.Topic, r.Partition, r.Offset, err)
		return
	}
	l := &lying{Record: r, pending: r.Topic == names.Pending("tasks"), id: tk.ID, g: tk.Generation, t: tk.Turn, due: stamp.Due, checked: make(map[string]bool)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, l)
	w.next[r.Topic][r.Partition] = r.Offset + 1
	w.simulation.mu.Lock()
	copied := w.tasks[l.id] == nil || w.tasks[l.id].sent > 1
	w.simulation.mu.Unlock()
	if l.pending && !copied { // else this one may be a copy of what came in its time
		w.unchecked = append(w.unchecked, l)
	}
}

// early checks that what came back from tiers did not come before its time. All is seen that there is, and w.mu is held:
// several attempts may have handed one turn on, and the watch reads their tiers in any order.
func (w *watch) early() {
	for _, l := range w.unchecked {
		w.timely(l)
	}
	w.unchecked = nil
}

// timely checks one. w.mu is held.
func (w *watch) timely(l *lying) {
	var first *lying
	for _, other := range w.seen {
		if !other.pending && other.id == l.id && other.g == l.g && other.t == l.t && other.Timestamp.Before(l.Timestamp) && (first == nil || other.due.Before(first.due)) {
			first = other
		}
	}
	if first != nil && l.Timestamp.Before(first.due) {
		w.wrong("%s was written at %s, %v before %s is due", l, l.Timestamp.Format("04:05.000"), first.due.Sub(l.Timestamp), first)
	}
}

// OnProduceRecordUnbuffered notes what forwarders write to the queue: a watch is a hook of their clients.
func (w *watch) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	var tk task.Task
	if err != nil || r.Topic != names.Pending("tasks") || record.Decode(r, &tk) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.back[turnKey{tk.ID, tk.Generation, tk.Turn}] = append(w.back[turnKey{tk.ID, tk.Generation, tk.Turn}], time.Now())
}

type turnKey struct {
	id   string
	g, t int
}

// doubles checks that forwarders brought nothing back more often than it was there, but for what they could not commit
// because they were disturbed, and that they did so soon.
func (w *watch) doubles() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for limit := time.Now().Add(time.Minute); !w.upToDate(); {
		if time.Now().After(limit) {
			w.wrong("the watch does not see all there is")
			return
		}
		w.mu.Unlock()
		time.Sleep(time.Second)
		w.mu.Lock()
	}
	w.early()
	waited, due := make(map[turnKey]int), make(map[turnKey]time.Time)
	for _, l := range w.seen {
		if k := (turnKey{l.id, l.g, l.t}); !l.pending {
			waited[k]++
			due[k] = l.due
		}
	}
	for k, at := range w.back {
		if most := waited[k] * (1 + w.excuse); len(at) > most {
			w.wrong("turn %d.%d of %s was brought back %d times, more than %d", k.g, k.t, k.id, len(at), most)
		}
		if late := at[len(at)-1].Sub(due[k]); w.excuse == 0 && late > tardy {
			w.wrong("turn %d.%d of %s was brought back %v late", k.g, k.t, k.id, late)
		}
	}
}

// tardy is how late a task may come back, though nothing happens but that processes come and go, and hand their slots over.
const tardy = 15 * time.Second

func (w *watch) wrong(format string, args ...any) {
	w.t.Errorf("%s %s", time.Now().Format("04:05.000"), fmt.Sprintf(format, args...))
}

// any is one of the queue's records, or nil.
func (w *watch) any(d *rand.Rand) *lying {
	w.mu.Lock()
	defer w.mu.Unlock()
	var pending []*lying
	for _, l := range w.seen {
		if l.pending {
			pending = append(pending, l)
		}
	}
	if len(pending) == 0 {
		return nil
	}
	return pending[d.IntN(len(pending))]
}

// upToDate says whether all was seen that there is. w.mu is held.
func (w *watch) upToDate() bool {
	for topic := range w.topics() {
		for _, p := range w.s.cluster.PartitionInfos(topic) {
			if p.HighWatermark != w.next[topic][p.Partition] {
				return false
			}
		}
	}
	return true
}

// commits checks what groups have committed.
func (w *watch) commits() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.upToDate() {
		return // partitions move; the next time
	}
	w.early()
	for _, prefix := range w.installations() {
		forwarding, consuming := w.s.cluster.GroupInfo(names.RetryGroup(prefix)), w.s.cluster.GroupInfo(names.Group(prefix, "tasks"))
		w.forwarder(prefix, progressOf(forwarding))
		if !w.flush {
			w.consumer(prefix, progressOf(consuming), progressOf(forwarding))
		}
		w.groups.tend(forwarding)
		w.groups.tend(consuming)
	}
}

// A progress is what a group has committed.
type committed map[string]map[int32]kfake.GroupCommit

func progressOf(g *kfake.GroupInfo) committed {
	if g == nil {
		return nil
	}
	return g.Commits
}

// passed says whether a record is below what was committed, or beside that by what the metadata says: the ranges of a
// consumer, the mark of a forwarder.
func (c committed) passed(l *lying) bool {
	at, ok := c[l.Topic][l.Partition]
	if !ok {
		return false
	}
	if l.Offset < at.Offset {
		return true
	}
	if l.pending {
		ranges, ok := watermark.Decode(at.Metadata)
		return ok && ranges.Watermark == at.Offset && ranges.Contains(l.Offset, l.LeaderEpoch)
	}
	var version int
	var offset, due, from int64
	if n, err := fmt.Sscanf(at.Metadata, "%d %d %d %d", &version, &offset, &due, &from); n != 4 || err != nil {
		return false
	}
	return l.Offset < offset && (l.due.UnixMilli() < due || l.due.UnixMilli() == due && l.Offset < from)
}

// forwarder checks that whatever a forwarder has passed was written again, to the queue or to a tier. w.mu is held.
func (w *watch) forwarder(prefix string, has committed) {
	for _, l := range w.seen {
		if l.pending || l.checked[prefix] || !has.passed(l) || !strings.HasPrefix(l.Topic, prefix) {
			continue
		}
		l.checked[prefix] = true
		if !w.is(l.id).passed(l) && !w.followed(l) {
			w.wrong("the forwarder of %s has passed %s, which nothing follows", prefix, l)
		}
	}
}

func (w *watch) followed(l *lying) bool {
	for _, other := range w.seen {
		if other != l && other.id == l.id && (other.g > l.g || other.g == l.g && other.t >= l.t) && !other.Timestamp.Before(l.Timestamp) {
			return true
		}
	}
	return false
}

// consumer checks that an offset is committed only if its record is settled: its task has come further, or a record of the
// same turn or a later one is there to go on with. w.mu is held.
func (w *watch) consumer(prefix string, has, forwarded committed) {
	for _, l := range w.seen {
		if !l.pending || l.checked[prefix] || !has.passed(l) {
			continue
		}
		l.checked[prefix] = true
		is := w.is(l.id)
		ok := is.passed(l)
		for _, other := range w.seen {
			if other.id == l.id && (other.g > l.g || other.g == l.g && other.t >= l.t) {
				of := has
				if !other.pending {
					of = forwarded
					if !strings.HasPrefix(other.Topic, prefix) {
						of = nil // another group's forwarder, which may have brought it back already: to us as well
					}
				}
				ok = ok || !of.passed(other)
			}
		}
		if !ok {
			w.wrong("%s has committed %s, and its claim says %q", prefix, l, claim.Claim(is))
		}
	}
}

// seenClaim is a claim as it was when the task was looked at last.
type seenClaim claim.Claim

func (w *watch) is(id string) seenClaim {
	w.simulation.mu.Lock()
	defer w.simulation.mu.Unlock()
	if s := w.tasks[id]; s != nil {
		return seenClaim(s.claim)
	}
	return seenClaim{}
}

// passed says whether the task has come further than a record.
func (c seenClaim) passed(l *lying) bool {
	return c.Generation > l.g || c.Generation == l.g && (c.Turn > l.t || c.State.Terminal())
}

// over says whether all groups have committed all there is.
func (m *simulation) over() bool { return len(m.left()) == 0 }

// left tells what is not committed.
func (m *simulation) left() (lines []string) {
	for _, prefix := range m.installations() {
		for topic, group := range map[string]string{
			names.Pending("tasks"):    names.Group(prefix, "tasks"),
			names.RetryMinute(prefix): names.RetryGroup(prefix),
			names.RetryHour(prefix):   names.RetryGroup(prefix),
		} {
			has := progressOf(m.s.cluster.GroupInfo(group))
			for _, p := range m.s.cluster.PartitionInfos(topic) {
				if at := has[topic][p.Partition].Offset; at < p.HighWatermark {
					lines = append(lines, fmt.Sprintf("%s has committed %d of %d in %s/%d", group, at, p.HighWatermark, topic, p.Partition))
				}
			}
		}
	}
	return lines
}

// unfinished tells what did not end.
func (m *simulation) unfinished() {
	m.t.Errorf("it does not come to an end: %s", strings.Join(m.left(), "; "))
	for _, prefix := range m.installations() {
		for _, group := range []string{names.Group(prefix, "tasks"), names.RetryGroup(prefix)} {
			if g := m.s.cluster.GroupInfo(group); g != nil {
				for _, member := range g.Members {
					m.t.Logf("%s is %s: %s has %d partitions", group, g.State, member.ClientID, member.NumAssigned())
				}
			}
		}
	}
}
