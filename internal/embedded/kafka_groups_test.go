package embedded_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tasktier/tasktier/internal/embedded"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
)

// TestMembersDieWhileTheyJoin: the group goes on without them. kfake alone forgets to expel half of them.
func TestMembersDieWhileTheyJoin(t *testing.T) { inBubble(t, membersDieWhileTheyJoin) }

func membersDieWhileTheyJoin(t *testing.T, kafka []kgo.Opt) {
	living := newMember(t, kafka)
	living.join()
	living.sync()

	const deaths = 5
	ctx, die := context.WithCancel(t.Context())
	died := make(chan error)
	var dead []*member
	for range deaths {
		m := newMember(t, kafka)
		m.introduce()
		dead = append(dead, m)
		go func() { _, err := m.joinRequest().RequestWith(ctx, m.client); died <- err }()
	}
	for living.members() < deaths+1 {
		time.Sleep(session / 100)
	}
	die()
	for range dead {
		if err := <-died; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	for _, m := range dead {
		m.client.Close()
	}
	living.join() // all have joined, so this is answered
	living.sync()
	for living.members() > 1 {
		living.untilRebalance()
		living.join()
		living.sync()
	}
}

// TestMemberWaitsLongInAJoin: it is answered when another joins at last, after more than the session timeout.
func TestMemberWaitsLongInAJoin(t *testing.T) { inBubble(t, memberWaitsLongInAJoin) }

func memberWaitsLongInAJoin(t *testing.T, kafka []kgo.Opt) {
	slow, waits := newMember(t, kafka), newMember(t, kafka)
	slow.join()
	slow.sync()
	waits.introduce()
	joined := make(chan struct{})
	go func() { defer close(joined); waits.join() }()
	slow.untilRebalance()
	slow.join()
	<-joined
	both := make(chan struct{})
	go func() { defer close(both); waits.sync() }()
	slow.sync()
	<-both

	third := newMember(t, kafka)
	third.introduce()
	begin := time.Now()
	joined = make(chan struct{})
	go func() { defer close(joined); third.join() }()
	waits.untilRebalance()
	rejoined := make(chan struct{})
	go func() { defer close(rejoined); waits.join() }()
	for time.Since(begin) < 2*session { // it is busy, and says that it lives
		if err := slow.heartbeat(); !errors.Is(err, kerr.RebalanceInProgress) {
			t.Fatalf("heartbeat: %v", err)
		}
		time.Sleep(session / 10)
	}
	slow.join()
	<-rejoined
	<-joined
}

// TestLeaderIsLost: those who wait for its plan join again, and are answered.
func TestLeaderIsLost(t *testing.T) { inBubble(t, leaderIsLost) }

func leaderIsLost(t *testing.T, kafka []kgo.Opt) {
	members := newMembers(t, kafka, 4)
	var others sync.WaitGroup
	for _, m := range members {
		if !m.leads {
			others.Go(func() {
				if err := m.trySync(); !errors.Is(err, kerr.RebalanceInProgress) {
					t.Errorf("sync: %v", err)
				}
				m.join()
			})
		}
	}
	others.Wait()
}

// TestMemberLeavesWhileItWaitsForAPlan: the others go on at once. This is a whole stack, by the clock.
func TestMemberLeavesWhileItWaitsForAPlan(t *testing.T) {
	t.Parallel()
	_, addrs := start(t, embedded.Config{})
	members := newMembers(t, []kgo.Opt{kgo.SeedBrokers(addrs.kafka)}, 2)
	leader, leaver := members[0], members[1]
	if leaver.leads {
		leader, leaver = leaver, leader
	}
	synced := make(chan error)
	go func() { synced <- leaver.trySync() }()
	time.Sleep(session / 20) // it is likely to be there
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = "group"
	leave.Members = []kmsg.LeaveGroupRequestMember{{MemberID: leaver.id}}
	response, err := leave.RequestWith(leaver.ctx, leaver.client)
	must(t, err)
	must(t, kerr.ErrorForCode(response.ErrorCode))
	if len(response.Members) != 1 || response.Members[0].MemberID != leaver.id || response.Members[0].ErrorCode != 0 {
		t.Errorf("answered %+v", response.Members)
	}
	leader.sync()
	must(t, <-synced)
	leader.untilRebalance()
	leader.join()
	leader.sync()
	if got := leader.members(); got != 1 {
		t.Errorf("the group has %d members", got)
	}
}

// inBubble runs a test on a stack's Kafka in a bubble: sessions time out while nothing else moves.
func inBubble(t *testing.T, test func(t *testing.T, kafka []kgo.Opt)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		network := new(bubble.Network)
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(network.Listen))
		must(t, err)
		t.Cleanup(cluster.Close)
		addr, dialer := cluster.ListenAddrs()[0], kgo.Dialer(network.DialContext)
		stop, err := embedded.KeepSessions(cluster, addr, dialer)
		must(t, err)
		t.Cleanup(stop)
		test(t, []kgo.Opt{kgo.SeedBrokers(addr), dialer})
	})
}

// session is the shortest session that kfake takes.
const session = 6 * time.Second

// A member speaks the protocol of groups by hand.
type member struct {
	t          *testing.T
	ctx        context.Context
	client     *kgo.Client
	id         string
	generation int32
	leads      bool
}

// newMembers have joined together.
func newMembers(t *testing.T, kafka []kgo.Opt, n int) []*member {
	t.Helper()
	members := make([]*member, n)
	for i := range members {
		members[i] = newMember(t, kafka)
	}
	members[0].join()
	members[0].sync()
	var joined sync.WaitGroup
	for _, m := range members[1:] {
		m.introduce()
		joined.Go(m.join)
	}
	for members[0].members() < n {
		time.Sleep(session / 100)
	}
	members[0].join()
	joined.Wait()
	return members
}

func newMember(t *testing.T, kafka []kgo.Opt) *member {
	t.Helper()
	client, err := kgo.NewClient(kafka...)
	must(t, err)
	t.Cleanup(client.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	t.Cleanup(cancel)
	return &member{t: t, ctx: ctx, client: client}
}

func (m *member) joinRequest() *kmsg.JoinGroupRequest {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Group, r.MemberID, r.ProtocolType = "group", m.id, "by hand"
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = int32(session.Milliseconds()), int32(time.Minute.Milliseconds())
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name = "any"
	r.Protocols = append(r.Protocols, p)
	return r
}

// introduce gets the member its name.
func (m *member) introduce() {
	m.t.Helper()
	response, err := m.joinRequest().RequestWith(m.ctx, m.client)
	must(m.t, err)
	if response.ErrorCode != kerr.MemberIDRequired.Code {
		m.t.Fatalf("a join without a name: %v", kerr.ErrorForCode(response.ErrorCode))
	}
	m.id = response.MemberID
}

// join waits until all have joined.
func (m *member) join() {
	if m.id == "" {
		m.introduce()
	}
	response, err := m.joinRequest().RequestWith(m.ctx, m.client)
	if err == nil {
		err = kerr.ErrorForCode(response.ErrorCode)
	}
	if err != nil {
		m.t.Errorf("join: %v", err)
		return
	}
	m.generation, m.leads = response.Generation, response.LeaderID == m.id
}

// sync waits for the leader, which has no plan.
func (m *member) sync() {
	if err := m.trySync(); err != nil {
		m.t.Errorf("sync: %v", err)
	}
}

func (m *member) trySync() error {
	r := kmsg.NewPtrSyncGroupRequest()
	r.Group, r.MemberID, r.Generation = "group", m.id, m.generation
	response, err := r.RequestWith(m.ctx, m.client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(response.ErrorCode)
}

func (m *member) heartbeat() error {
	r := kmsg.NewPtrHeartbeatRequest()
	r.Group, r.MemberID, r.Generation = "group", m.id, m.generation
	response, err := r.RequestWith(m.ctx, m.client)
	if err != nil {
		m.t.Fatal(err)
	}
	return kerr.ErrorForCode(response.ErrorCode)
}

// untilRebalance sends heartbeats until one is told that others join or leave.
func (m *member) untilRebalance() {
	m.t.Helper()
	for {
		switch err := m.heartbeat(); {
		case errors.Is(err, kerr.RebalanceInProgress):
			return
		case err != nil:
			m.t.Fatalf("heartbeat: %v", err)
		}
		time.Sleep(session / 100)
	}
}

// members is how many the group has.
func (m *member) members() int {
	m.t.Helper()
	groups, err := kadm.NewClient(m.client).DescribeGroups(m.ctx, "group")
	must(m.t, err)
	return len(groups["group"].Members)
}
