package simulation

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
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A faultyConn is a connection to Redis that is slow at times, and breaks at times: before a call of a script gets through,
// or before its reply does. (Other commands of go-redis run under locks, under which a bubble's clock stands still.)
type faultyConn struct {
	net.Conn
	rate    float64
	calling atomic.Bool

	mu  sync.Mutex
	rng *rand.Rand
}

func (c *faultyConn) chance(of float64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.Float64() < of*c.rate
}

func (c *faultyConn) Write(b []byte) (int, error) {
	if !bytes.Contains(b, []byte("evalsha")) {
		return c.Conn.Write(b)
	}
	c.calling.Store(true)
	if c.chance(0.02) {
		c.Close()
		return 0, io.ErrClosedPipe
	}
	if c.chance(0.05) {
		c.mu.Lock()
		d := time.Duration(50+c.rng.IntN(500)) * time.Millisecond
		c.mu.Unlock()
		time.Sleep(d)
	}
	return c.Conn.Write(b)
}

func (c *faultyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.calling.Swap(false) && c.chance(0.02) {
		c.Close() // the script has run
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// A slowConn takes a while to send. If it took no time, what is retried without a pause would be retried forever at one
// instant of the bubble's clock.
type slowConn struct {
	net.Conn
	latency time.Duration
}

func (c *slowConn) Write(b []byte) (int, error) {
	time.Sleep(c.latency)
	return c.Conn.Write(b)
}

// withLatency returns a dialer whose connections each have a latency of their own.
func (m *simulation) withLatency(dial bubble.Dialer) bubble.Dialer {
	if !synctests { // Kafka's client writes under a lock
		return dial
	}
	var n atomic.Int64
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &slowConn{conn, time.Duration(100+m.random("kafka", int(n.Add(1))).IntN(2000)) * time.Microsecond}, nil
	}
}

// kafkaOptions returns the options of a client that reaches the brokers with dial.
func (m *simulation) kafkaOptions(dial bubble.Dialer) []kgo.Opt {
	return append(m.kafka.Options(dial), kgo.MetadataMinAge(100*time.Millisecond), kgo.FetchMaxWait(5*time.Second))
}

// answers are the errors that brokers return, by request. A timeout of produce or commit, and an error after an append, are
// returned though the work was done.
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

// requests are the keys of answers in a fixed order. A key that is there more often is picked more often.
var requests = []kmsg.Key{
	kmsg.Produce, kmsg.Produce, kmsg.Produce, kmsg.Fetch, kmsg.OffsetCommit, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.FindCoordinator,
	kmsg.ListOffsets, kmsg.Heartbeat, kmsg.JoinGroup, kmsg.SyncGroup,
}

// topLevel are the requests whose response has one error for all.
var topLevel = map[kmsg.Key]bool{kmsg.Heartbeat: true, kmsg.JoinGroup: true, kmsg.SyncGroup: true}

const (
	// ownRack and ownTimeout mark the requests of the simulation's own clients, which never fail.
	ownRack    = "observer"
	ownTimeout = 17 * time.Second
)

// fault makes brokers answer a few requests of one kind with an error.
func (m *simulation) fault(rng *rand.Rand) {
	key := requests[rng.IntN(len(requests))]
	if !synctests && key != kmsg.Fetch {
		key = kmsg.Produce
	}
	f := kfake.Fault{Keys: []kmsg.Key{key}, TopLevel: topLevel[key], Err: answers[key][rng.IntN(len(answers[key]))], Count: 1 + rng.IntN(6)}
	f.When = func(r kmsg.Request) bool {
		switch r := r.(type) {
		case *kmsg.FetchRequest:
			return r.Rack != ownRack
		case *kmsg.ProduceRequest:
			return r.TimeoutMillis != int32(ownTimeout.Milliseconds())
		}
		return true
	}
	prefix := m.installation(m.prefixes[rng.IntN(len(m.prefixes))])
	switch of := rng.IntN(3); {
	case key == kmsg.Produce || key == kmsg.Fetch || key == kmsg.ListOffsets:
		f.Topic = []string{"", names.Pending("tasks"), names.RetryMinute(prefix)}[of]
	case key != kmsg.FindCoordinator:
		f.Group = []string{"", names.Group(prefix, "tasks"), names.RetryGroup(prefix)}[of]
	}
	m.logf("brokers answer %d of %s, topic %q, group %q, with %v", f.Count, key.Name(), f.Topic, f.Group, f.Err.Message)
	h := m.kafka.Fault(f)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, h)
}

// removeFaults ends all faults of brokers.
func (m *simulation) removeFaults() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.faults {
		h.Remove()
	}
	m.faults = nil
}

// slow delays the next produce request, and those behind it on the same connection.
func (m *simulation) slow(d time.Duration) {
	m.logf("the next produce request takes %v", d)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delays = append(m.delays, d)
}

// delay delays a produce request; it is called before a broker gets a request.
func (m *simulation) delay(key kmsg.Key) {
	if key != kmsg.Produce {
		return
	}
	m.mu.Lock()
	var d time.Duration
	if len(m.delays) > 0 {
		d, m.delays = m.delays[0], m.delays[1:]
	}
	m.mu.Unlock()
	time.Sleep(d)
}

// move moves groups, or partitions, to other brokers.
func (m *simulation) move(rng *rand.Rand) {
	if rng.IntN(2) == 0 {
		m.logf("groups move")
		m.kafka.RehashCoordinators()
		return
	}
	m.logf("partitions move")
	for topic, partitions := range m.observer.topics() {
		for p := range partitions {
			if err := m.kafka.MoveTopicPartition(topic, p, int32(rng.IntN(m.brokers))); err != nil {
				m.t.Errorf("move %s/%d: %v", topic, p, err)
			}
		}
	}
}
