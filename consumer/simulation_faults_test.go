package consumer_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What breaks between processes, Redis and Kafka.

// A frail connection to Redis is slow at times, and breaks at times: before a call of a script gets through, or before its
// reply does. (What else go-redis does it does under locks, under which a bubble's clock stands still.)
type frail struct {
	net.Conn
	of      float64
	calling atomic.Bool

	mu   sync.Mutex
	dice *rand.Rand
}

func (f *frail) chance(of float64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dice.Float64() < of*f.of
}

func (f *frail) Write(b []byte) (int, error) {
	if !bytes.Contains(b, []byte("evalsha")) {
		return f.Conn.Write(b)
	}
	f.calling.Store(true)
	if f.chance(0.02) {
		f.Close()
		return 0, io.ErrClosedPipe
	}
	if f.chance(0.05) {
		f.mu.Lock()
		d := time.Duration(50+f.dice.IntN(500)) * time.Millisecond
		f.mu.Unlock()
		time.Sleep(d)
	}
	return f.Conn.Write(b)
}

func (f *frail) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if err == nil && f.calling.Swap(false) && f.chance(0.02) {
		f.Close() // the call has been obeyed
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// A distant connection takes a while to send. Where it took none, what is tried again and again would be tried for ever in
// the same moment.
type distant struct {
	net.Conn
	d time.Duration
}

func (c *distant) Write(b []byte) (int, error) {
	time.Sleep(c.d)
	return c.Conn.Write(b)
}

// far dials brokers at distances of their own.
func (m *simulation) far(dial dialer) dialer {
	if !synctests { // Kafka's client writes under a lock
		return dial
	}
	var n atomic.Int64
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &distant{conn, time.Duration(100+m.dice("kafka", int(n.Add(1))).IntN(2000)) * time.Microsecond}, nil
	}
}

// reach is how clients reach brokers over a line.
func (m *simulation) reach(dial dialer) []kgo.Opt {
	return append(m.s.kafka(dial), kgo.MetadataMinAge(100*time.Millisecond), kgo.FetchMaxWait(5*time.Second))
}

// What brokers answer in place of the truth, by request. Those of produce and commit with a time-out, and after an append,
// are lies: the work was done.
var answers = map[kmsg.Key][]*kerr.Error{
	kmsg.Produce: {
		kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend,
		kerr.UnknownServerError, kerr.PolicyViolation, kerr.TopicAuthorizationFailed, kerr.KafkaStorageError,
	},
	kmsg.Fetch:           {kerr.NotLeaderForPartition, kerr.UnknownServerError, kerr.KafkaStorageError, kerr.FencedLeaderEpoch},
	kmsg.OffsetCommit:    {kerr.RequestTimedOut, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.RebalanceInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration},
	kmsg.OffsetFetch:     {kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.UnknownServerError},
	kmsg.FindCoordinator: {kerr.CoordinatorNotAvailable, kerr.UnknownServerError},
	kmsg.ListOffsets:     {kerr.NotLeaderForPartition, kerr.UnknownServerError},
	kmsg.Heartbeat:       {kerr.UnknownMemberID, kerr.NotCoordinator, kerr.IllegalGeneration, kerr.RebalanceInProgress},
	kmsg.JoinGroup:       {kerr.UnknownMemberID, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator},
	kmsg.SyncGroup:       {kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.NotCoordinator},
}

// requests has the keys of answers in an order that does not change.
var requests = []kmsg.Key{
	kmsg.Produce, kmsg.Produce, kmsg.Produce, kmsg.Fetch, kmsg.OffsetCommit, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.FindCoordinator,
	kmsg.ListOffsets, kmsg.Heartbeat, kmsg.JoinGroup, kmsg.SyncGroup,
}

// topLevel: these answer with one error for all.
var topLevel = map[kmsg.Key]bool{kmsg.Heartbeat: true, kmsg.JoinGroup: true, kmsg.SyncGroup: true}

const (
	// ownRack and ownTimeout mark the requests of the simulation's own clients, which no broker breaks.
	ownRack    = "watch"
	ownTimeout = 17 * time.Second
)

// fault lets brokers answer a few requests of one kind with an error.
func (m *simulation) fault(d *rand.Rand) {
	key := requests[d.IntN(len(requests))]
	if !synctests && key != kmsg.Fetch {
		key = kmsg.Produce
	}
	f := kfake.Fault{Keys: []kmsg.Key{key}, TopLevel: topLevel[key], Err: answers[key][d.IntN(len(answers[key]))], Count: 1 + d.IntN(6)}
	f.When = func(r kmsg.Request) bool {
		switch r := r.(type) {
		case *kmsg.FetchRequest:
			return r.Rack != ownRack
		case *kmsg.ProduceRequest:
			return r.TimeoutMillis != int32(ownTimeout.Milliseconds())
		}
		return true
	}
	prefix := m.installation(m.prefixes[d.IntN(len(m.prefixes))])
	switch of := d.IntN(3); {
	case key == kmsg.Produce || key == kmsg.Fetch || key == kmsg.ListOffsets:
		f.Topic = []string{"", names.Pending("tasks"), names.RetryMinute(prefix)}[of]
	case key != kmsg.FindCoordinator:
		f.Group = []string{"", names.Group(prefix, "tasks"), names.RetryGroup(prefix)}[of]
	}
	m.logf("brokers answer %d of %s, topic %q, group %q, with %v", f.Count, key.Name(), f.Topic, f.Group, f.Err.Message)
	h := m.s.cluster.Fault(f)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, h)
}

// calm ends all faults of brokers.
func (m *simulation) calm() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.faults {
		h.Remove()
	}
	m.faults = nil
}

// slow lets brokers take their time for one write, and for what comes behind it on the same connection.
func (m *simulation) slow(d time.Duration) {
	m.logf("the next write takes %v", d)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slows = append(m.slows, d)
}

// delay is how a write is slow.
func (m *simulation) delay(key kmsg.Key) {
	if key != kmsg.Produce {
		return
	}
	m.mu.Lock()
	var d time.Duration
	if len(m.slows) > 0 {
		d, m.slows = m.slows[0], m.slows[1:]
	}
	m.mu.Unlock()
	time.Sleep(d)
}

// move lets groups, or partitions, be another broker's.
func (m *simulation) move(d *rand.Rand) {
	if d.IntN(2) == 0 {
		m.logf("groups move")
		m.s.cluster.RehashCoordinators()
		return
	}
	m.logf("partitions move")
	for topic, partitions := range m.watch.topics() {
		for p := range partitions {
			if err := m.s.cluster.MoveTopicPartition(topic, p, int32(d.IntN(m.brokers))); err != nil {
				m.t.Errorf("move %s/%d: %v", topic, p, err)
			}
		}
	}
}
