package topic

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Finding is one difference between a topic and its spec.
type Finding struct {
	Topic, Queue string
	Setting      string // a topic setting, "partitions" or "replication factor"
	Have, Want   string
	Unsafe       bool // unfinished work could be lost: nodes refuse the topic
	Mend         Mend
	Why          string // what follows from the difference
}

// A Mend is what it takes to end a finding.
type Mend int

// The ways to mend.
const (
	Alter     Mend = iota // set a setting
	Grow                  // add partitions
	GrowKeyed             // add partitions to an ordered queue: until its backlog is worked off, keys lose their order
	ByHand                // beyond what Apply does
)

// String says what differs and what follows, on one line.
func (f Finding) String() string {
	have := f.Have
	if have == "" {
		have = "not known"
	}
	return fmt.Sprintf("topic %s: %s is %s, must be %s: %s", f.Topic, f.Setting, have, f.Want, f.Why)
}

// compare finds what differs between a topic that is there and its resolved spec.
func compare(s Spec, partitions int32, replication int16, settings map[string]string) []Finding {
	var found []Finding
	add := func(f Finding) {
		f.Topic, f.Queue = s.Name, s.Queue
		found = append(found, f)
	}
	for _, set := range s.Settings {
		if set.Name == minInsync && replication < 3 {
			continue // with two replicas it would stop the topic whenever one is away
		}
		have, reported := settings[set.Name]
		if reported && set.satisfied(have) {
			continue
		}
		// A broker that does not report a setting does not know it: no reason to refuse the topic.
		add(Finding{Setting: set.Name, Have: have, Want: set.want(), Unsafe: set.Unsafe && reported, Why: set.Why})
	}
	// Topics that follow another are compacted by key: growing one would part letters from their tombstones.
	if partitions < s.Partitions && s.Follows == "" {
		f := Finding{
			Setting: "partitions", Have: strconv.Itoa(int(partitions)), Want: "at least " + strconv.Itoa(int(s.Partitions)),
			Mend: Grow, Why: "fewer nodes can share the queue",
		}
		if s.Wheel {
			f.Unsafe, f.Why = true, "tasks are routed to partitions that are not there"
		}
		if s.Ordered {
			f.Mend = GrowKeyed
			f.Why += ". Growing moves keys to other partitions, where newer tasks may overtake older ones of their key: " +
				"let the queue run empty first"
		}
		add(f)
	}
	if replication < s.Replication {
		add(Finding{
			Setting: "replication factor", Have: strconv.Itoa(int(replication)), Want: strconv.Itoa(int(s.Replication)),
			Mend: ByHand, Why: "what is on a broker that is lost for good may be lost; reassign the partitions with Kafka's own tools",
		})
	}
	return found
}

func (s Setting) satisfied(have string) bool {
	if s.Rule == Exactly {
		return normal(have) == normal(s.Value)
	}
	h, ok := number(have)
	w, _ := number(s.Value)
	if s.Rule == AtLeast {
		return ok && h >= w
	}
	return ok && h <= w
}

func (s Setting) want() string {
	return [...]string{Exactly: "", AtLeast: "at least ", AtMost: "at most "}[s.Rule] + s.Value
}

// normal sorts lists, whose order means nothing.
func normal(s string) string {
	list := strings.Split(strings.ReplaceAll(s, " ", ""), ",")
	slices.Sort(list)
	return strings.Join(list, ",")
}
