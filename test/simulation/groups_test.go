package simulation

import (
	"context"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groups works around what kfake gets wrong about members of groups whose connections break. A member whose connection is
// closed when its wait in the group ends stays a member forever; and a member that is removed while it waits for the group's
// leader is counted twice, so that the group waits for a member that does not exist.
type groups struct {
	*simulation
	members  map[string]time.Time // when a member was first seen
	dead     map[string]time.Time // when processes died
	unstable map[string]time.Time // since when groups are in a rebalance
}

func newGroups(m *simulation) *groups {
	return &groups{m, make(map[string]time.Time), make(map[string]time.Time), make(map[string]time.Time)}
}

// noteDead notes that a process has ended.
func (g *groups) noteDead(process string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead[process] = time.Now()
}

const (
	// sessionTimeout is how long a member may send nothing: the SessionTimeout of processes.
	sessionTimeout = 6 * time.Second
	// stuck is longer than any rebalance takes.
	stuck = 45 * time.Second
)

// maintain removes members that have sent nothing for too long, and all members of a group that is stuck; those join again.
func (g *groups) maintain(of *kfake.GroupInfo) {
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
			g.remove(of.Group, m)
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
		replaced := newest[m.ClientID].After(g.members[m.MemberID]) && time.Since(newest[m.ClientID]) > sessionTimeout
		if dead && time.Since(died) > sessionTimeout || replaced {
			g.remove(of.Group, m)
		}
	}
}

func (g *groups) remove(group string, m kfake.GroupMember) {
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = group
	member := kmsg.NewLeaveGroupRequestMember()
	member.MemberID = m.MemberID
	leave.Members = append(leave.Members, member)
	if _, err := leave.RequestWith(context.Background(), g.client); err != nil {
		g.t.Errorf("remove %s from %s: %v", m.ClientID, group, err)
	}
}

// waitStable waits, for ten seconds at most, until no group of this prefix is in a rebalance: kfake mishandles members that
// leave during one.
func (g *groups) waitStable(prefix string) {
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		stable := true
		for _, group := range []string{names.Group(prefix, "tasks"), names.RetryGroup(prefix)} {
			of := g.kafka.GroupInfo(group)
			stable = stable && (of == nil || of.State == "Stable" || of.State == "Empty")
		}
		if stable {
			return
		}
	}
}
