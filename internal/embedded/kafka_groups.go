package embedded

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// A sessions keeps the sessions of group members as a broker does, where kfake does not:
//
//   - A member that dies while it waits in a join gets no session: kfake starts it with the answer, which nobody takes.
//     It would hold its partitions for good, and each rebalance would wait for it, and begin to wait anew whenever
//     another joins. It is made to leave.
//   - The session of a member goes on while it waits in a join or a sync, in which it sends no heartbeats. When the others
//     took longer, it would be expelled and never answered. Heartbeats are sent for it.
//   - A member that leaves while it waits in a sync, or is expelled then, is counted off from those who will join, to which
//     it doesn't belong: the next rebalance would wait in vain until its time is over, and begin to wait anew with each join
//     that is tried again. It leaves when it has its answer.
//
// It learns who is there from the requests as they pass, and looks at the groups each second while they have members.
type sessions struct {
	log    *zap.Logger
	client *kgo.Client
	stop   context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	groups map[string]*groupSessions
}

type groupSessions struct {
	members    map[string]*memberSession
	generation int32     // the latest that a member has named
	answered   time.Time // every join before it is
}

type memberSession struct {
	heard   time.Time
	timeout time.Duration
	last    kmsg.Key // its last request
	forIt   bool     // a heartbeat is on its way for it
	leaves  bool     // as soon as it has the answer to its sync
}

// lookEvery is how often groups are looked at. It bounds by how much a session outlives its timeout.
const lookEvery = time.Second

// unknownTimeout is for members whose join nobody saw: they may have been there before the broker was started.
const unknownTimeout = 45 * time.Second

func keepSessions(cluster *kfake.Cluster, addr string, log *zap.Logger, opts ...kgo.Opt) (*sessions, error) {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.ClientID("tasktier-embedded"), kgo.DisableClientMetrics()}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("configure kafka client: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &sessions{log: log, client: client, stop: stop, done: make(chan struct{}), groups: make(map[string]*groupSessions)}
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.OffsetCommit, kmsg.LeaveGroup} {
		cluster.ControlKey(key.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			response := s.hear(request)
			return response, nil, response != nil
		})
	}
	go s.run(ctx)
	return s, nil
}

func (s *sessions) close() {
	s.stop()
	<-s.done
	s.client.Close()
}

// hear notes who sends a request, and may answer it.
func (s *sessions) hear(request kmsg.Request) kmsg.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r := request.(type) {
	case *kmsg.JoinGroupRequest:
		if r.MemberID != "" { // else it is told its name, and joins again
			m := s.group(r.Group).member(r.MemberID)
			m.heard, m.timeout, m.last = time.Now(), time.Duration(r.SessionTimeoutMillis)*time.Millisecond, kmsg.JoinGroup
		}
	case *kmsg.SyncGroupRequest:
		s.group(r.Group).hear(r.MemberID, r.Generation, kmsg.SyncGroup)
	case *kmsg.OffsetCommitRequest:
		if r.MemberID != "" { // else it is no member's
			s.group(r.Group).hear(r.MemberID, r.Generation, kmsg.OffsetCommit)
		}
	case *kmsg.HeartbeatRequest:
		g := s.group(r.Group)
		if m := g.member(r.MemberID); m.forIt {
			m.forIt = false
		} else {
			g.hear(r.MemberID, r.Generation, kmsg.Heartbeat)
		}
	case *kmsg.LeaveGroupRequest:
		return s.group(r.Group).leave(r)
	}
	return nil
}

// leave answers who may be waiting in a sync. It leaves later.
func (g *groupSessions) leave(r *kmsg.LeaveGroupRequest) kmsg.Response {
	ids := []string{r.MemberID} // of old clients
	for _, m := range r.Members {
		ids = append(ids, m.MemberID)
	}
	if !slices.ContainsFunc(ids, func(id string) bool { m := g.members[id]; return m != nil && m.last == kmsg.SyncGroup }) {
		for _, id := range ids {
			delete(g.members, id)
		}
		return nil
	}
	response := r.ResponseKind().(*kmsg.LeaveGroupResponse)
	for _, id := range ids {
		if m := g.members[id]; m != nil {
			m.leaves = true
		}
	}
	for _, m := range r.Members {
		answer := kmsg.NewLeaveGroupResponseMember()
		answer.MemberID, answer.InstanceID = m.MemberID, m.InstanceID
		response.Members = append(response.Members, answer)
	}
	return response
}

func (s *sessions) group(name string) *groupSessions {
	g := s.groups[name]
	if g == nil {
		g = &groupSessions{members: make(map[string]*memberSession), generation: -1}
		s.groups[name] = g
	}
	return g
}

func (g *groupSessions) member(id string) *memberSession {
	m := g.members[id]
	if m == nil {
		m = &memberSession{heard: time.Now(), timeout: unknownTimeout}
		g.members[id] = m
	}
	return m
}

// hear notes a request of a member of a generation. The first of a new one says that the joins are answered.
func (g *groupSessions) hear(id string, generation int32, request kmsg.Key) {
	now := time.Now()
	if generation > g.generation {
		g.generation, g.answered = generation, now
	}
	m := g.member(id)
	m.heard, m.last = now, request
}

func (s *sessions) run(ctx context.Context) {
	defer close(s.done)
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			if err := s.look(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("sessions of group members are not kept; trying on", zap.Error(err))
			}
		}
	}
}

// look does for members what is due.
func (s *sessions) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*lookEvery)
	defer cancel()
	s.mu.Lock()
	names := slices.Collect(maps.Keys(s.groups))
	s.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	asked := time.Now()
	groups, err := kadm.NewClient(s.client).DescribeGroups(ctx, names...)
	if err != nil {
		return fmt.Errorf("describe groups: %w", err)
	}
	for _, name := range names {
		for _, request := range s.due(groups[name], asked) {
			if _, err := s.client.Request(ctx, request); err != nil { // what the broker says is seen at the next look
				return fmt.Errorf("keep the sessions of group %s: %w", name, err)
			}
		}
	}
	return nil
}

// The states of a group in which members wait: for others to join, and for the leader's plan.
const preparing, completing = "PreparingRebalance", "CompletingRebalance"

// due is what to send for the members of a group that was described after it was asked for.
func (s *sessions) due(d kadm.DescribedGroup, asked time.Time) (requests []kmsg.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[d.Group]
	if g == nil {
		return nil
	}
	if d.State != preparing && asked.After(g.answered) {
		g.answered = asked
	}
	described := make(map[string]bool, len(d.Members))
	var gone []string
	for _, member := range d.Members {
		id := member.MemberID
		described[id] = true
		m := g.member(id)
		switch {
		case d.State == preparing && m.last == kmsg.JoinGroup && !m.heard.Before(g.answered), d.State == completing && m.last == kmsg.SyncGroup:
			m.forIt = true
			heartbeat := kmsg.NewPtrHeartbeatRequest()
			heartbeat.Group, heartbeat.MemberID, heartbeat.Generation = d.Group, id, g.generation
			requests = append(requests, heartbeat)
		case m.leaves, time.Since(m.heard) > m.timeout+lookEvery:
			m.last = kmsg.LeaveGroup
			gone = append(gone, id)
		}
	}
	if len(gone) > 0 {
		leave := kmsg.NewPtrLeaveGroupRequest()
		leave.Group = d.Group
		for _, id := range gone {
			member := kmsg.NewLeaveGroupRequestMember()
			member.MemberID = id
			leave.Members = append(leave.Members, member)
		}
		requests = append(requests, leave)
	}
	for id, m := range g.members {
		if !described[id] && m.heard.Before(asked.Add(-m.timeout)) { // who was just named joins again in a moment
			delete(g.members, id)
		}
	}
	if len(g.members) == 0 {
		delete(s.groups, d.Group)
	}
	return requests
}
