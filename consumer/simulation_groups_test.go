package consumer_test

import (
	"context"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groups does for kfake what it leaves undone where connections break. A member whose connection is gone when its wait in
// the group ends stays a member for ever; and a member that is removed while it waits for the group's leader is counted
// twice, so that the group waits for one that there is not.
type groups struct {
	*simulation
	members  map[string]time.Time // when a member was seen first
	dead     map[string]time.Time // when processes were
	unstable map[string]time.Time // since when groups are in a rebalance
}

func newGroups(m *simulation) *groups {
	return &groups{m, make(map[string]time.Time), make(map[string]time.Time), make(map[string]time.Time)}
}

// gone notes that a process is no more.
func (g *groups) gone(process string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead[process] = time.Now()
}

const (
	// silence is how long a member may be silent: the processes' SessionTimeout.
	silence = 6 * time.Second
	// stuck is how long no rebalance can take.
	stuck = 45 * time.Second
)

// tend removes members that have been silent for too long, and all of a group that is stuck, which join again.
func (g *groups) tend(of *kfake.GroupInfo) {
	if of == nil {
		return
	}
	since := g.unstable[of.Group]
	switch {
	case of.State == "Stable" || of.State == "Empty":
		delete(g.unstable, of.Group)
	case since.IsZero():
		g.unstable[of.Group] = time.Now()
	case time.Since(since) > stuck:
		g.logf("group %s is stuck", of.Group)
		delete(g.unstable, of.Group)
		for _, m := range of.Members {
			g.expel(of.Group, m)
		}
		return
	}
	newest := make(map[string]time.Time)
	for _, m := range of.Members {
		if g.members[m.MemberID].IsZero() {
			g.members[m.MemberID] = time.Now()
		}
		if at := g.members[m.MemberID]; at.After(newest[m.ClientID]) {
			newest[m.ClientID] = at
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range of.Members {
		died, dead := g.dead[m.ClientID]
		replaced := newest[m.ClientID].After(g.members[m.MemberID]) && time.Since(newest[m.ClientID]) > silence
		if dead && time.Since(died) > silence || replaced {
			g.expel(of.Group, m)
		}
	}
}

func (g *groups) expel(group string, m kfake.GroupMember) {
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = group
	member := kmsg.NewLeaveGroupRequestMember()
	member.MemberID = m.MemberID
	leave.Members = append(leave.Members, member)
	if _, err := leave.RequestWith(context.Background(), g.s.client); err != nil {
		g.t.Errorf("expel %s from %s: %v", m.ClientID, group, err)
	}
}

// settled waits a while until no process waits in a group of this prefix: kfake takes it ill if one goes then.
func (g *groups) settled(prefix string) {
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		waits := false
		for _, group := range []string{names.Group(prefix, "tasks"), names.RetryGroup(prefix)} {
			of := g.s.cluster.GroupInfo(group)
			waits = waits || of != nil && of.State != "Stable" && of.State != "Empty"
		}
		if !waits {
			return
		}
	}
}
