package upkeep

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/topic"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestTrimKeepsWhatSomebodyNeeds(t *testing.T) {
	history := func(at int64) bound { return bound{kept: KeptHistory, offset: at} }
	audit := func(at int64) bound { return bound{kept: "group audit", offset: at, group: true} }
	for name, c := range map[string]struct {
		committed, start, end int64
		bounds                []bound
		target                int64
		kept                  string
	}{
		"what is finished goes":            {7, 2, 9, nil, 7, KeptUnfinished},
		"all of it":                        {9, 2, 9, nil, 9, KeptUnfinished},
		"nothing was committed":            {unknown, 2, 9, []bound{history(8)}, 2, KeptUnfinished},
		"a commit beyond the end":          {10, 2, 9, nil, 2, KeptUnfinished},
		"a commit below the start":         {1, 2, 9, nil, 2, KeptUnfinished},
		"the young stay":                   {7, 2, 9, []bound{history(4)}, 4, KeptHistory},
		"the old go, but if unfinished":    {7, 2, 9, []bound{history(9)}, 7, KeptUnfinished},
		"all are young":                    {7, 2, 9, []bound{history(2)}, 2, KeptHistory},
		"their age can't be told":          {7, 2, 9, []bound{history(unknown)}, 2, KeptHistory},
		"another group is behind":          {7, 2, 9, []bound{history(6), audit(3)}, 3, "group audit"},
		"another group is ahead":           {7, 2, 9, []bound{audit(9)}, 7, KeptUnfinished},
		"another group has not begun":      {7, 2, 9, []bound{history(6), audit(unknown)}, 2, "group audit"},
		"another group is below the start": {7, 2, 9, []bound{audit(1)}, 2, "group audit"},
		"the partition does not answer":    {7, unknown, unknown, nil, unknown, KeptSilent},
	} {
		t.Run(name, func(t *testing.T) {
			p := partition{topic: "t", committed: c.committed, start: c.start, end: c.end}
			got := p.trim(c.bounds)
			if got.Start != c.start || got.Target != c.target || got.Kept != c.kept {
				t.Errorf("from %d to %d, kept for %q; want from %d to %d, %q", got.Start, got.Target, got.Kept, c.start, c.target, c.kept)
			}
			if got.Target > c.committed && got.Records() > 0 {
				t.Error("trims what is not finished")
			}
		})
	}
}

const (
	day = 24 * time.Hour
	old = 2 * day
)

// plan returns the targets of a plan and what keeps the rest, by partition.
func (s *site) plan(what Trimming) (plans []TrimPlan, targets []int64, kept []string) {
	s.t.Helper()
	plans, err := PlanTrim(s.ctx(), s.Installation, s.queue, what)
	must(s.t, err)
	for _, p := range plans {
		targets, kept = append(targets, p.Target), append(kept, p.Kept)
	}
	return plans, targets, kept
}

func TestTrim(t *testing.T) {
	t.Parallel()
	everywhere(t, 4, func(t *testing.T, s *site) {
		for p := range int32(3) { // the last one is never used
			s.produce(s.topic, p, 10, old)
			s.produce(s.topic, p, 5, time.Minute)
		}
		s.commits(s.group, s.topic, 0, 12)
		s.commits(s.group, s.topic, 1, 6)
		s.commits("audit-"+s.queue, s.topic, 0, 3)

		_, targets, _ := s.plan(Trimming{})
		equal(t, "without a history", targets, []int64{12, 6, 0, 0})
		_, targets, _ = s.plan(Trimming{History: 10 * old})
		equal(t, "with a long history", targets, []int64{0, 0, 0, 0})
		keep := Trimming{History: day, KeepFor: []string{"audit-" + s.queue}}
		_, targets, kept := s.plan(keep)
		equal(t, "kept for a group", targets, []int64{3, 0, 0, 0})
		if want := []string{"group audit-" + s.queue, "group audit-" + s.queue, KeptUnfinished, KeptUnfinished}; !slices.Equal(kept, want) {
			t.Errorf("kept for %q, want %q", kept, want)
		}
		_, targets, _ = s.plan(Trimming{KeepFor: []string{"nobody-" + s.queue}})
		equal(t, "kept for a group that is not there", targets, []int64{0, 0, 0, 0})
		var first []TrimPlan
		first, targets, kept = s.plan(Trimming{History: day})
		equal(t, "with a history", targets, []int64{10, 6, 0, 0})
		if want := []string{KeptHistory, KeptUnfinished, KeptUnfinished, KeptUnfinished}; !slices.Equal(kept, want) {
			t.Errorf("kept for %q, want %q", kept, want)
		}
		equal(t, "planning changes nothing", s.starts(), []int64{0, 0, 0, 0})

		trims := func(plans []TrimPlan, n int) {
			t.Helper()
			results := Trim(s.ctx(), s.Installation, plans)
			if len(results) != n {
				t.Errorf("%d results, want %d", len(results), n)
			}
			for _, r := range results {
				must(t, r.Err)
			}
		}
		trims(first, 2)
		equal(t, "the logs begin", s.starts(), []int64{10, 6, 0, 0})
		s.commits(s.group, s.topic, 1, 15)
		second, _, _ := s.plan(Trimming{})
		trims(second, 2)
		equal(t, "the logs begin", s.starts(), []int64{12, 15, 0, 0})
		trims(first, 2) // by another leader, who planned earlier
		equal(t, "the logs begin", s.starts(), []int64{12, 15, 0, 0})
		third, _, _ := s.plan(Trimming{})
		trims(third, 0)
	})
}

// A plan for a topic is none for another one of that name.
func TestTrimLeavesATopicThatWasCreatedAnew(t *testing.T) {
	t.Parallel()
	everywhere(t, 1, func(t *testing.T, s *site) {
		s.produce(s.topic, 0, 10, old)
		s.commits(s.group, s.topic, 0, 10)
		plans, _, _ := s.plan(Trimming{})
		s.recreate(1)
		s.produce(s.topic, 0, 10, 0)
		if results := Trim(s.ctx(), s.Installation, plans); len(results) != 1 || results[0].Err == nil {
			t.Errorf("got %v", results)
		}
		equal(t, "the log begins", s.starts(), []int64{0})
	})
}

// recreate deletes the queue's topic and creates it anew.
func (s *site) recreate(partitions int32) {
	s.t.Helper()
	_, err := s.Kafka.DeleteTopic(s.ctx(), s.topic)
	must(s.t, err)
	s.until("the topic is gone", func() bool {
		meta, err := s.Kafka.Metadata(kadm.WithAuthorizedOps(s.ctx()), s.topic)
		return err == nil && errors.Is(meta.Topics[s.topic].Err, kerr.UnknownTopicOrPartition)
	})
	s.until("its offsets are gone", func() bool {
		offsets, err := s.Kafka.FetchOffsets(s.ctx(), s.group)
		_, there := offsets.Lookup(s.topic, 0)
		return errors.Is(err, kerr.GroupIDNotFound) || err == nil && !there
	})
	s.client = s.dial() // the old one has ideas of the old topic
	s.Kafka = kadm.NewClient(s.client)
	s.create(s.topic, partitions)
}

// Without the permission nothing is trimmed, which is said once a term, and what it takes; all else goes on.
func TestTrimThatIsRefused(t *testing.T) {
	t.Parallel()
	s := fakeSite(t, 1)
	s.produce(s.topic, 0, 10, old)
	s.commits(s.group, s.topic, 0, 5)
	denied := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteRecords}, Topic: s.topic, Err: kerr.TopicAuthorizationFailed, Count: -1})
	d := s.duty(Trimming{})
	m := s.membership()
	stop := s.leads(m, d.Name(), d.Lead)
	s.until("it is mirrored", func() bool { return slices.Equal(s.mirrored(), []int64{5}) })
	before := d.Stats().Read
	s.until("two more rounds", func() bool { return d.Stats().Read.Sub(before) > 150*time.Millisecond })
	stop()
	said := s.logs.FilterMessageSnippet("ACL operation Delete").All()
	if len(said) != 1 || !slices.Equal(said[0].ContextMap()["topics"].([]any), []any{s.topic}) {
		t.Errorf("said %v", said)
	}
	equal(t, "the log begins", s.starts(), []int64{0})
	plans, _, _ := s.plan(Trimming{})
	if access := (*topic.AccessError)(nil); !errors.As(Trim(s.ctx(), s.Installation, plans)[0].Err, &access) {
		t.Error("a command is not told that it may not")
	}
	denied.Remove()
	s.leads(m, d.Name(), d.Lead)
	s.until("the next term trims", func() bool { return slices.Equal(s.starts(), []int64{5}) })
}
