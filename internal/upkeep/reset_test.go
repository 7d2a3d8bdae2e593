package upkeep

import (
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Where the mirror knows an offset, that is taken.
func TestResetTakesWhatTheMirrorKnows(t *testing.T) {
	t.Parallel()
	everywhere(t, 2, func(t *testing.T, s *site) {
		s.produce(s.topic, 0, 5, 0)
		s.produce(s.topic, 1, 5, 0)
		s.commits(s.group, s.topic, 0, 3)
		s.mirror(3, -1)
		s.forget()
		moved, err := Reset(s.ctx(), s.Installation, s.queue, End)
		must(t, err)
		if len(moved) != 2 || !moved[0].Mirrored || moved[1].Mirrored {
			t.Errorf("moved %+v", moved)
		}
		equal(t, "committed", s.committed(s.group), []int64{3, 5})
		equal(t, "mirrored", s.mirrored(), []int64{3, 5})
	})
}

// Only what nobody knows is reset, and only while nobody works.
func TestReset(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		to   Position
		want []int64
	}{{Start, []int64{3, 2, -1}}, {End, []int64{3, 6, -1}}} {
		t.Run(string(c.to), func(t *testing.T) {
			t.Parallel()
			everywhere(t, 3, func(t *testing.T, s *site) {
				s.produce(s.topic, 0, 5, 0)
				s.produce(s.topic, 1, 6, 0)
				s.commits(s.group, s.topic, 0, 3)
				s.commits(s.group, s.topic, 1, 2)
				for _, r := range Trim(s.ctx(), s.Installation, s.must(PlanTrim(s.ctx(), s.Installation, s.queue, Trimming{}))) {
					must(t, r.Err)
				}
				s.forget()
				s.commits(s.group, s.topic, 0, 3)

				other := s.dial(kgo.ConsumerGroup(s.group), kgo.ConsumeTopics(s.topic), kgo.DisableAutoCommit())
				s.until("the other is in the group", func() bool { n, err := s.members(s.ctx(), s.group); return err == nil && n == 1 })
				busy := (*BusyError)(nil)
				if _, err := Reset(s.ctx(), s.Installation, s.queue, c.to); !errors.As(err, &busy) || busy.Group != s.group {
					t.Errorf("while another works: %v", err)
				}
				other.Close()
				s.until("nobody is in the group", func() bool { n, err := s.members(s.ctx(), s.group); return err == nil && n == 0 })
				equal(t, "after it was refused", s.committed(s.group), []int64{3, -1, -1})

				plan, err := PlanReset(s.ctx(), s.Installation, s.queue, c.to)
				must(t, err)
				equal(t, "planning changes nothing", s.committed(s.group), []int64{3, -1, -1})
				moved, err := Reset(s.ctx(), s.Installation, s.queue, c.to)
				must(t, err)
				if len(moved) != 1 || !slices.Equal(moved, plan) {
					t.Errorf("moved %v, planned %v", moved, plan)
				}
				equal(t, "committed", s.committed(s.group), c.want)
				equal(t, "mirrored", s.mirrored(), c.want)
				moved, err = Reset(s.ctx(), s.Installation, s.queue, End)
				must(t, err)
				if len(moved) != 0 {
					t.Errorf("moved %v, which is known", moved)
				}
			})
		})
	}
}
