package consumer

import (
	"context"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// generous has a slot for everybody.
type generous struct{ lease *lease.Lease }

func (generous) Want(string, int) {}
func (g generous) Take(typ string) (*lease.Slot, bool) {
	return &lease.Slot{Type: typ, Token: 1, Lease: g.lease}, true
}
func (generous) Release(*lease.Slot) {}
func (generous) Notify(func(string)) {}

// atGate is a consumer that does not run, of a queue with a type that has rules.
func atGate(t *testing.T, ordered bool, r Rule) *queue {
	t.Helper()
	mux := NewMux()
	if err := mux.Handle("ruled", func(context.Context, *task.Task) error { return nil }); err != nil {
		t.Fatal(err)
	}
	l := lease.New("s")
	l.Trust(time.Now().Add(time.Hour))
	t.Cleanup(l.End)
	c, err := New(Config{
		Kafka: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, Queues: []Queue{{Name: "tasks", Ordered: ordered}}, Mux: mux, Node: "n",
		Limits: generous{l}, Concurrency: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	rule(t, c, r)
	return c.queues[0]
}

func rule(t *testing.T, c *Consumer, r Rule) {
	t.Helper()
	if err := c.Apply(Rules{Types: map[string]Rule{"ruled": r}}); err != nil {
		t.Fatal(err)
	}
}

// ruled is a turn of a partition that a poll has admitted.
func ruled(p *partition) *turn {
	t := &turn{part: p, bytes: 10, record: &kgo.Record{Topic: "tasks.pending"}, task: task.Task{ID: "x", Type: "ruled", Source: "/s"}}
	p.queue.window.charge(1, t.bytes)
	return t
}

// later lets an hour pass, and looks after the gates.
func (q *queue) later() {
	q.consumer.born = q.consumer.born.Add(-time.Hour)
	q.consumer.gates.tend(q)
}

// A poll lets go of the assignment before it begins what it has polled, so its partition may be gone by then. Nothing of
// it stands at a gate, where an ordered queue would keep it for ever.
func TestNothingStandsOfAPartitionThatIsGone(t *testing.T) {
	q := atGate(t, true, Rule{Paused: true})
	p := newPartition(q, 0)
	q.mu.Lock()
	q.partitions[0] = p
	q.mu.Unlock()
	late := ruled(p)
	late.lane = "k"
	q.forget(q.close([]int32{0}))
	q.consumer.begin(q, []*turn{late})
	if n, _ := q.window.load(); n != 0 || q.consumer.gates.load(q) != 0 {
		t.Errorf("%d stand, and the window has %d", q.consumer.gates.load(q), n)
	}
}

// A turn that can't be copied stays, and those behind it don't stay with it.
func TestWhatCantBePutOffKeepsNobody(t *testing.T) {
	q := atGate(t, false, Rule{Paused: true})
	large := ruled(newPartition(q, 0))
	large.rooted = true
	q.consumer.ready(q, large)
	for range 5 {
		q.consumer.ready(q, ruled(newPartition(q, 1)))
	}
	if q.later(); q.consumer.gates.load(q) != 1 {
		t.Errorf("%d stand, want the one", q.consumer.gates.load(q))
	}
}

// A limit may be lifted between a turn's leave to start and its start, and said again.
func TestALimitIsLiftedAndSaidAgain(t *testing.T) {
	q := atGate(t, false, Rule{Limit: 3})
	c := q.consumer
	one := ruled(newPartition(q, 0))
	c.ready(q, one)
	if one.ticket == nil || one.ticket.stage != comes {
		t.Fatalf("it has not been let through: %+v", one.ticket)
	}
	rule(t, c, Rule{})
	if !c.gates.mayStart(one) {
		t.Fatal("it may not start")
	}
	rule(t, c, Rule{Limit: 3})
	if g := c.gates.gate("ruled"); g.of(q).coming != 0 || g.inside != 1 {
		t.Errorf("%d are on their way and %d inside; one is at work", g.of(q).coming, g.inside)
	}
	c.gates.leave(one)
	if g := c.gates.gate("ruled"); g.inside != 0 {
		t.Errorf("%d are inside; none is at work", g.inside)
	}
}

// What is away counts until it is due.
func TestAbsent(t *testing.T) {
	var a absent
	now := 10 * time.Hour
	for _, d := range []time.Duration{0, time.Minute, time.Minute, maxPutOff + maxPutOff/4} {
		a.add(now, d)
	}
	for after, want := range map[time.Duration]int{0: 4, 59 * time.Second: 3, 2 * time.Minute: 1, 2 * maxPutOff: 0} {
		b := a
		if got := b.look(now + after); got != want {
			t.Errorf("after %v %d are away, want %d", after, got, want)
		}
	}
}
