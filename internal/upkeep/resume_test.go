package upkeep

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestResumption(t *testing.T) {
	const none = -2 // nothing is committed and nothing refused
	const lost = -1
	for name, c := range map[string]struct {
		mirror mirror
		found  partition
		want   int64
		tiers  int64 // the same for a tier
	}{
		"its offset is known":              {has(oneID, 5), partition{committed: 3, end: 9}, none, none},
		"it was never used":                {mirror{}, partition{committed: unknown}, none, none},
		"nobody knows, but nothing gone":   {mirror{}, partition{committed: unknown, end: 9}, none, none},
		"the mirror knows":                 {has(oneID, 5), partition{committed: unknown, end: 9}, 5, 5},
		"the mirror knows the end":         {has(oneID, 9), partition{committed: unknown, end: 9}, 9, 9},
		"the mirror knows it is trimmed":   {has(oneID, 5), partition{committed: unknown, start: 4, end: 9}, 5, 5},
		"it was trimmed further":           {has(oneID, 5), partition{committed: unknown, start: 7, end: 9}, 7, 7},
		"it was trimmed, and nobody knows": {mirror{}, partition{committed: unknown, start: 4, end: 9}, lost, none},
		"it is empty, and nobody knows":    {mirror{}, partition{committed: unknown, start: 9, end: 9}, none, none},
		"it was cut":                       {has(oneID, 12), partition{committed: unknown, end: 9}, lost, none},
		"the mirror is of another topic":   {has(otherID, 5), partition{committed: unknown, end: 9}, none, none},
		"so it is, and it was trimmed":     {has(otherID, 5), partition{committed: unknown, start: 4, end: 9}, lost, none},
		"the mirror has no offset for it":  {has(oneID, unknown), partition{committed: unknown, start: 4, end: 9}, lost, none},
	} {
		for queue, want := range map[string]int64{"mail": c.want, Tiers: c.tiers} {
			t.Run(name+"/"+queue, func(t *testing.T) {
				c.found.topic = "t"
				known, gone := (Installation{}).reader(queue).resumption(survey{[]partition{c.found}, map[string]kadm.TopicID{"t": oneID}}, c.mirror)
				got := int64(none)
				switch {
				case len(known) > 0:
					got = known[0].Offset
				case len(gone) > 0:
					got = lost
				}
				if got != want || len(known)+len(gone) > 1 {
					t.Errorf("known %v, lost %v; want %d", known, gone, want)
				}
			})
		}
	}
}

// mirror has a leader keep the queue's mirror until it says so.
func (s *site) mirror(want ...int64) {
	s.t.Helper()
	d := s.duty(Trimming{History: day})
	stop := s.leads(s.membership(), d.Name(), d.Lead)
	s.until("it is mirrored", func() bool { return slices.Equal(s.mirrored(), want) })
	stop()
}

// read are the offsets that work on n records returns, all of which must be from on.
func (s *site) reads(n int, from ...int64) {
	s.t.Helper()
	read := s.work(n)
	for p, first := range from {
		if got := read[int32(p)]; len(got) == 0 || got[0] != first {
			s.t.Errorf("partition %d goes on with %v, want %d", p, got, first)
		}
	}
}

// Kafka forgets the offsets of a group that had no members for a week. They are restored from the copy in etcd; where
// that is lost too, an operator decides. Pitfall 27 of docs/pitfalls.md.
func TestForgottenOffsetsAreRestored(t *testing.T) {
	t.Parallel()
	everywhere(t, 2, func(t *testing.T, s *site) {
		s.produce(s.topic, 0, 10, old)
		s.produce(s.topic, 1, 7, old)
		s.work(17)
		s.mirror(10, 7)
		s.forget()
		s.produce(s.topic, 0, 3, 0)
		s.produce(s.topic, 1, 2, 0)

		must(t, Resume(s.ctx(), s.Installation, s.queue))
		equal(t, "after resuming", s.committed(s.group), []int64{10, 7})
		s.reads(5, 10, 7) // only what is new, as the number says

		// Part of it is trimmed. Then everything is lost: offsets and mirror.
		s.produce(s.topic, 0, 4, 0)
		for _, r := range Trim(s.ctx(), s.Installation, s.must(PlanTrim(s.ctx(), s.Installation, s.queue, Trimming{History: day}))) {
			must(t, r.Err)
		}
		equal(t, "the logs begin", s.starts(), []int64{10, 7})
		s.forget()
		_, err := s.Etcd.Delete(s.ctx(), s.reader(s.queue).key)
		must(t, err)
		err = Resume(s.ctx(), s.Installation, s.queue)
		lost := (*UnknownOffsetError)(nil)
		if !errors.As(err, &lost) || lost.Queue != s.queue || !slices.Equal(lost.Partitions, []int32{0, 1}) {
			t.Fatalf("resumed what nobody knows: %v", err)
		}
		for _, command := range []string{"`tasktier queue reset " + s.queue + " --to start`", "`tasktier queue reset " + s.queue + " --to end`"} {
			if !strings.Contains(err.Error(), command) {
				t.Errorf("does not say %s: %v", command, err)
			}
		}
		equal(t, "nothing was committed", s.committed(s.group), []int64{-1, -1})

		// An operator decides, and it goes on.
		moved, err := Reset(s.ctx(), s.Installation, s.queue, Start)
		must(t, err)
		if len(moved) != 2 {
			t.Errorf("moved %v", moved)
		}
		must(t, Resume(s.ctx(), s.Installation, s.queue))
		equal(t, "the mirror", s.mirrored(), []int64{10, 7})
		s.reads(7+2, 10, 7)
	})
}

func (s *site) must(plans []TrimPlan, err error) []TrimPlan {
	s.t.Helper()
	must(s.t, err)
	return plans
}

// What the mirror knows is taken even where an operator has to decide the rest: what they decide is for that only.
func TestResumeTakesWhatItKnows(t *testing.T) {
	t.Parallel()
	everywhere(t, 2, func(t *testing.T, s *site) {
		s.produce(s.topic, 0, 9, 0)
		s.produce(s.topic, 1, 9, 0)
		s.commits(s.group, s.topic, 0, 5)
		s.mirror(5, -1)
		s.commits(s.group, s.topic, 1, 6)
		for _, r := range Trim(s.ctx(), s.Installation, s.must(PlanTrim(s.ctx(), s.Installation, s.queue, Trimming{}))) {
			must(t, r.Err)
		}
		s.forget()
		lost := (*UnknownOffsetError)(nil)
		if err := Resume(s.ctx(), s.Installation, s.queue); !errors.As(err, &lost) || !slices.Equal(lost.Partitions, []int32{1}) {
			t.Errorf("resumed: %v", err)
		}
		equal(t, "committed", s.committed(s.group), []int64{5, -1})
	})
}

// What is not known is left alone where nothing was trimmed: it begins at the start, and nothing is committed.
func TestResumeLeavesNewPartitionsAlone(t *testing.T) {
	t.Parallel()
	everywhere(t, 3, func(t *testing.T, s *site) {
		s.produce(s.topic, 0, 5, 0)
		s.produce(s.topic, 1, 5, 0)
		s.commits(s.group, s.topic, 1, 2)
		must(t, Resume(s.ctx(), s.Installation, s.queue))
		equal(t, "committed", s.committed(s.group), []int64{-1, 2, -1})
	})
}

// Offsets that were mirrored from a topic are not restored into another topic of the same name: all of its records are
// read. Pitfall 49 of docs/pitfalls.md.
func TestMirrorOfATopicThatWasCreatedAnew(t *testing.T) {
	t.Parallel()
	everywhere(t, 1, func(t *testing.T, s *site) {
		s.produce(s.topic, 0, 5, 0)
		s.commits(s.group, s.topic, 0, 5)
		s.mirror(5)
		s.recreate(1)
		s.produce(s.topic, 0, 9, 0)
		must(t, Resume(s.ctx(), s.Installation, s.queue))
		equal(t, "committed", s.committed(s.group), []int64{-1})
		s.reads(9, 0) // all of it
		s.mirror(9)
	})
}

// Whoever is in the group has resumed before. Should somebody not have, it is too late.
func TestResumeWhileOthersWork(t *testing.T) {
	t.Parallel()
	everywhere(t, 1, func(t *testing.T, s *site) {
		s.produce(s.topic, 0, 5, 0)
		s.commits(s.group, s.topic, 0, 5)
		s.mirror(5)
		s.forget()
		other := s.dial(kgo.ConsumerGroup(s.group), kgo.ConsumeTopics(s.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
		defer other.Close()
		if n := len(other.PollRecords(s.ctx(), 5).Records()); n == 0 {
			t.Fatal("the other reads nothing")
		}
		resumed := make(chan error, 1)
		go func() { resumed <- Resume(s.ctx(), s.Installation, s.queue) }()
		select {
		case err := <-resumed:
			must(t, err)
		case <-time.After(slack):
			t.Fatal("it waits for ever")
		}
		equal(t, "committed", s.committed(s.group), []int64{-1})
		if s.warnings("nobody has resumed") != 1 {
			t.Errorf("said %v", s.logs.All())
		}
	})
}

func TestMirrorsThatCantBeRead(t *testing.T) {
	t.Parallel()
	s := fakeSite(t, 1)
	s.produce(s.topic, 0, 5, 0)
	r := s.reader(s.queue)
	put := func(text string) {
		t.Helper()
		_, err := s.Etcd.Put(s.ctx(), r.key, text)
		must(t, err)
	}
	format := (*FormatError)(nil)
	put(`{"version":2,"offsets":[1,2]}`)
	if err := Resume(s.ctx(), s.Installation, s.queue); !errors.As(err, &format) || format.Version != 2 || !strings.Contains(err.Error(), "upgrade") {
		t.Errorf("a newer one: %v", err)
	}
	s.commits(s.group, s.topic, 0, 3)
	must(t, Resume(s.ctx(), s.Installation, s.queue)) // it is not needed
	d, m := s.duty(Trimming{}), s.membership()
	stop := s.leads(m, d.Name(), d.Lead)
	s.until("it is said", func() bool { return s.warnings("not mirrored") == 1 })
	s.until("the rest is done", func() bool { return slices.Equal(s.starts(), []int64{3}) })
	stop()
	if reply, err := s.Etcd.Get(s.ctx(), r.key); err != nil || !strings.Contains(string(reply.Kvs[0].Value), `"version":2`) {
		t.Errorf("the newer one was written over: %v", err)
	}
	put("nonsense")
	s.leads(m, d.Name(), d.Lead)
	s.until("nonsense is written anew", func() bool {
		m, _, err := s.readMirror(s.ctx(), r)
		return err == nil && slices.Equal(m.Topics[s.topic].Offsets, []int64{3})
	})
}
