package simulation

import (
	"fmt"
	"strings"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/watermark"
	"github.com/twmb/franz-go/pkg/kfake"
)

// checkCommits checks what groups have committed.
func (o *observer) checkCommits() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.upToDate() {
		return // partitions are moving; the next call checks
	}
	o.checkForwardTimes()
	for _, prefix := range o.installations() {
		forwarding, consuming := o.kafka.GroupInfo(names.RetryGroup(prefix)), o.kafka.GroupInfo(names.Group(prefix, "tasks"))
		o.checkForwarder(prefix, commitsOf(forwarding))
		if !o.redisFlush {
			o.checkConsumer(prefix, commitsOf(consuming), commitsOf(forwarding))
		}
		o.groups.maintain(forwarding)
		o.groups.maintain(consuming)
	}
}

// commits are what a group has committed, by topic and partition.
type commits map[string]map[int32]kfake.GroupCommit

func commitsOf(g *kfake.GroupInfo) commits {
	if g == nil {
		return nil
	}
	return g.Commits
}

// contains reports whether a record is committed: by the offset, or by the metadata beside it, which are the finished ranges
// of a consumer or the position of a forwarder.
func (c commits) contains(e *entry) bool {
	at, ok := c[e.Topic][e.Partition]
	if !ok {
		return false
	}
	if e.Offset < at.Offset {
		return true
	}
	if e.pending {
		ranges, ok := watermark.Decode(at.Metadata)
		return ok && ranges.Watermark == at.Offset && ranges.Contains(e.Offset, e.LeaderEpoch)
	}
	var version int
	var offset, due, from int64
	if n, err := fmt.Sscanf(at.Metadata, "%d %d %d %d", &version, &offset, &due, &from); n != 4 || err != nil {
		return false
	}
	return e.Offset < offset && (e.due.UnixMilli() < due || e.due.UnixMilli() == due && e.Offset < from)
}

// checkForwarder checks that whatever a forwarder has committed was written again, to the queue or to a tier. o.mu is held.
func (o *observer) checkForwarder(prefix string, has commits) {
	for _, e := range o.entries {
		if e.pending || e.checked[prefix] || !has.contains(e) || !strings.HasPrefix(e.Topic, prefix) {
			continue
		}
		e.checked[prefix] = true
		if !o.claimOf(e.id).passed(e) && !o.followed(e) {
			o.errorf("the forwarder of %s has committed %s, which nothing follows", prefix, e)
		}
	}
}

// followed reports whether a record of the same turn, or of a later one, was written after this one. o.mu is held.
func (o *observer) followed(e *entry) bool {
	for _, other := range o.entries {
		if other != e && other.id == e.id && (other.g > e.g || other.g == e.g && other.t >= e.t) && !other.Timestamp.Before(e.Timestamp) {
			return true
		}
	}
	return false
}

// checkConsumer checks that a record is committed only if it is settled: its task is past its turn, or there is a record of the
// same turn or of a later one that is not committed. o.mu is held.
func (o *observer) checkConsumer(prefix string, has, forwarded commits) {
	for _, e := range o.entries {
		if !e.pending || e.checked[prefix] || !has.contains(e) {
			continue
		}
		e.checked[prefix] = true
		is := o.claimOf(e.id)
		ok := is.passed(e)
		for _, other := range o.entries {
			if other.id == e.id && (other.g > e.g || other.g == e.g && other.t >= e.t) {
				of := has
				if !other.pending {
					of = forwarded
					if !strings.HasPrefix(other.Topic, prefix) {
						of = nil // another group's forwarder, which may have forwarded it already, to this group as well
					}
				}
				ok = ok || !of.contains(other)
			}
		}
		if !ok {
			o.errorf("%s has committed %s, and its claim says %q", prefix, e, claim.Claim(is))
		}
	}
}

// seenClaim is a claim as it was when the task was last checked.
type seenClaim claim.Claim

func (o *observer) claimOf(id string) seenClaim {
	o.simulation.mu.Lock()
	defer o.simulation.mu.Unlock()
	if s := o.tasks[id]; s != nil {
		return seenClaim(s.claim)
	}
	return seenClaim{}
}

// passed reports whether the task is past the turn of a record.
func (c seenClaim) passed(e *entry) bool {
	return c.Generation > e.g || c.Generation == e.g && (c.Turn > e.t || c.State.Terminal())
}

// allCommitted reports whether all groups have committed all records.
func (m *simulation) allCommitted() bool { return len(m.uncommitted()) == 0 }

// uncommitted describes what is not committed.
func (m *simulation) uncommitted() (lines []string) {
	for _, prefix := range m.installations() {
		for topic, group := range map[string]string{
			names.Pending("tasks"):    names.Group(prefix, "tasks"),
			names.RetryMinute(prefix): names.RetryGroup(prefix),
			names.RetryHour(prefix):   names.RetryGroup(prefix),
		} {
			has := commitsOf(m.kafka.GroupInfo(group))
			for _, p := range m.kafka.PartitionInfos(topic) {
				if at := has[topic][p.Partition].Offset; at < p.HighWatermark {
					lines = append(lines, fmt.Sprintf("%s has committed %d of %d in %s/%d", group, at, p.HighWatermark, topic, p.Partition))
				}
			}
		}
	}
	return lines
}

// reportUncommitted reports that a simulation does not end, and why.
func (m *simulation) reportUncommitted() {
	m.t.Errorf("the simulation does not end: %s", strings.Join(m.uncommitted(), "; "))
	for _, prefix := range m.installations() {
		for _, group := range []string{names.Group(prefix, "tasks"), names.RetryGroup(prefix)} {
			if g := m.kafka.GroupInfo(group); g != nil {
				for _, member := range g.Members {
					m.t.Logf("%s is %s: %s has %d partitions", group, g.State, member.ClientID, member.NumAssigned())
				}
			}
		}
	}
}
