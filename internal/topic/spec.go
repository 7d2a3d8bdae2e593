package topic

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/tier"
)

// LetterRoom is what dead-letter topics take per record beyond what pending takes, in bytes: a letter is its original
// and the headers that say how it died.
const LetterRoom = 64 << 10

// A Queue is what the topics of one queue depend on.
type Queue struct {
	Name        string
	Partitions  int32
	MaxBytes    int   // max.message.bytes of pending
	Ordered     bool  // records carry keys, and their order within a key counts
	Replication int16 // 0: 3, or as many as there are brokers
}

// A Spec says how one topic must be.
type Spec struct {
	Name       string
	Queue      string // whose it is
	Group      string // the consumer group that reads it; empty: none does
	Partitions int32
	// Replication is the replication factor. 0: 3, or as many as there are brokers.
	Replication int16
	Settings    []Setting
	// Ordered: the records of a key are in one partition, so more partitions would tear keys apart.
	Ordered bool
	// Wheel: tasks are routed to each of the partitions by its number, so they must all be there.
	Wheel bool
	// Follows is the topic whose records must fit in here too, partitions and size: for dead letters. Empty: none.
	Follows string
}

// A Setting is one wish about a topic's configuration.
type Setting struct {
	Name, Value string
	Rule        Rule
	Unsafe      bool   // unfinished work could be lost if it does not hold
	Why         string // what happens if it does not hold
}

// A Rule says which values satisfy a setting.
type Rule int

// The rules.
const (
	Exactly Rule = iota
	AtLeast
	AtMost
)

const (
	maxMessageBytes = "max.message.bytes"
	minInsync       = "min.insync.replicas"
)

// Specs are the topics of an installation's queues, by the queues' names. Prefix begins the names of its groups.
func Specs(prefix string, queues []Queue) []Spec {
	queues = slices.SortedFunc(slices.Values(queues), func(a, b Queue) int { return cmp.Compare(a.Name, b.Name) })
	var specs []Spec
	for _, q := range queues {
		specs = append(specs, pending(prefix, q), dead(q))
	}
	return specs
}

func pending(prefix string, q Queue) Spec {
	return Spec{
		Name: names.Pending(q.Name), Queue: q.Name, Group: names.Group(prefix, q.Name),
		Partitions: q.Partitions, Replication: q.Replication, Ordered: q.Ordered,
		Settings: []Setting{
			{Name: "cleanup.policy", Value: "delete", Unsafe: true, Why: "compaction deletes tasks that share a key and refuses those without one"},
			{Name: "retention.ms", Value: "-1", Unsafe: true, Why: "tasks that wait longer are deleted"},
			{Name: "retention.bytes", Value: "-1", Unsafe: true, Why: "the oldest tasks are deleted when a partition outgrows it"},
			{Name: "message.timestamp.type", Value: "LogAppendTime", Unsafe: true, Why: "the clocks of producers decide how old a task is"},
			{Name: maxMessageBytes, Value: strconv.Itoa(q.MaxBytes), Rule: AtLeast, Why: "larger tasks are refused"},
		},
	}
}

// Tiers are the retry tiers of an installation, which its queues share; maxBytes is the largest max.message.bytes of their
// pending topics. A partition is a slot of the timing wheel (package internal/tier), so there may not be fewer.
func Tiers(prefix string, maxBytes int, replication int16) []Spec {
	spec := func(name string, t tier.Tier) Spec {
		return Spec{
			Name: name, Group: names.RetryGroup(prefix), Partitions: t.Partitions, Replication: replication, Wheel: true,
			Settings: []Setting{
				{Name: "cleanup.policy", Value: "delete", Unsafe: true, Why: "compaction deletes tasks that share a key and refuses those without one"},
				{Name: "retention.ms", Value: "-1", Unsafe: true, Why: "tasks that wait longer are deleted"},
				{Name: "retention.bytes", Value: "-1", Unsafe: true, Why: "the oldest tasks are deleted when a partition outgrows it"},
				{Name: "message.timestamp.type", Value: "LogAppendTime", Why: "the clocks of producers decide how old a record is"},
				{Name: maxMessageBytes, Value: strconv.Itoa(maxBytes + LetterRoom), Rule: AtLeast, Unsafe: true, Why: "the retry of a large task can't be written"},
			},
		}
	}
	return []Spec{spec(names.RetryMinute(prefix), tier.Minute), spec(names.RetryHour(prefix), tier.Hour)}
}

// dead topics are compacted, so that a letter stays until its tombstone comes, and both go soon after. Without a bound
// on segments and on the lag, a quiet topic would never be compacted: its last segment stays active.
func dead(q Queue) Spec {
	return Spec{
		Name: names.Dead(q.Name), Queue: q.Name, Follows: names.Pending(q.Name),
		Partitions: q.Partitions, Replication: q.Replication,
		Settings: []Setting{
			{Name: "cleanup.policy", Value: "compact", Unsafe: true, Why: "letters expire, or those that were replayed never go"},
			{Name: "retention.ms", Value: "-1", Why: "letters would expire as soon as the cleanup policy included delete"},
			{Name: "segment.ms", Value: ms(time.Hour), Rule: AtMost, Why: "letters that were replayed stay on the disk for longer"},
			{Name: "max.compaction.lag.ms", Value: ms(24 * time.Hour), Rule: AtMost, Why: "letters that were replayed stay on the disk for longer"},
			{Name: "delete.retention.ms", Value: ms(7 * 24 * time.Hour), Rule: AtLeast, Why: "a slow reader may miss that a letter is gone"},
			{Name: maxMessageBytes, Value: strconv.Itoa(q.MaxBytes + LetterRoom), Rule: AtLeast, Unsafe: true, Why: "the letter of a large task can't be written"},
		},
	}
}

func ms(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// resolve fills in what depends on the cluster: the replication factor, and the replicas that must have a record before
// it is acknowledged, which need a third one to spare.
func (s Spec) resolve(brokers int) Spec {
	if s.Replication == 0 {
		s.Replication = int16(max(1, min(3, brokers)))
	}
	if s.Replication >= 3 {
		s.Settings = append(slices.Clone(s.Settings), Setting{
			Name: minInsync, Value: "2", Rule: AtLeast, Why: "a record may be acknowledged that a single broker has",
		})
	}
	return s
}

// following raises s to what the topic that it follows has, if that is more.
func (s Spec) following(partitions int32, maxBytes int64) Spec {
	s.Partitions = max(s.Partitions, partitions)
	s.Settings = slices.Clone(s.Settings)
	for i, set := range s.Settings {
		if want, _ := number(set.Value); set.Name == maxMessageBytes {
			s.Settings[i].Value = strconv.FormatInt(max(want, maxBytes+LetterRoom), 10)
		}
	}
	return s
}

func number(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
