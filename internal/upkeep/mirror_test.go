package upkeep

import (
	"errors"
	"slices"
	"testing"

	"github.com/tasktier/tasktier/coord"
	"github.com/twmb/franz-go/pkg/kadm"
)

var (
	oneID   = kadm.TopicID{1}
	otherID = kadm.TopicID{2}
)

// parts are the partitions of topic "t", each with its committed offset, start and end.
func parts(bounds ...[3]int64) []partition {
	var all []partition
	for i, b := range bounds {
		all = append(all, partition{topic: "t", number: int32(i), committed: b[0], start: b[1], end: b[2]})
	}
	return all
}

func has(id kadm.TopicID, offsets ...int64) mirror {
	return mirror{mirrorVersion, map[string]topicOffsets{"t": {id.String(), offsets}}}
}

func TestMirrorFollowsWhatIsCommitted(t *testing.T) {
	for name, c := range map[string]struct {
		had     mirror
		id      kadm.TopicID
		found   []partition
		want    []int64
		changed bool
	}{
		"the first time":                  {mirror{}, oneID, parts([3]int64{5, 0, 9}, [3]int64{-1, 0, 3}), []int64{5, -1}, true},
		"when it moves":                   {has(oneID, 5), oneID, parts([3]int64{7, 0, 9}), []int64{7}, true},
		"not when nothing does":           {has(oneID, 5), oneID, parts([3]int64{5, 0, 9}), []int64{5}, false},
		"down, when it was set back":      {has(oneID, 5), oneID, parts([3]int64{2, 0, 9}), []int64{2}, true},
		"not when it is forgotten":        {has(oneID, 5, 6), oneID, parts([3]int64{-1, 0, 9}, [3]int64{8, 0, 9}), []int64{5, 8}, true},
		"not when some are not seen":      {has(oneID, 5, 6), oneID, parts([3]int64{5, 0, 9}), []int64{5, 6}, false},
		"to more partitions":              {has(oneID, 5), oneID, parts([3]int64{5, 0, 9}, [3]int64{1, 0, 9}), []int64{5, 1}, true},
		"not beyond the end":              {has(oneID, 5), oneID, parts([3]int64{10, 0, 9}), []int64{5}, false},
		"not where nobody answers":        {has(oneID, 5), oneID, parts([3]int64{7, -1, -1}), []int64{5}, false},
		"to another topic of the name":    {has(otherID, 5, 6), oneID, parts([3]int64{2, 0, 9}, [3]int64{-1, 0, 9}), []int64{2, -1}, true},
		"not before anything is finished": {mirror{}, oneID, parts([3]int64{-1, 0, 9}), nil, false},
		"not to a topic without an id":    {mirror{}, kadm.TopicID{}, parts([3]int64{5, 0, 9}), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			next, changed := c.had.follow(survey{c.found, map[string]kadm.TopicID{"t": c.id}})
			if got := next.Topics["t"].Offsets; !slices.Equal(got, c.want) || changed != c.changed {
				t.Errorf("%v, changed %v; want %v, %v", got, changed, c.want, c.changed)
			}
		})
	}
}

func TestMirrorOfAnotherTopicIsNone(t *testing.T) {
	for name, c := range map[string]struct {
		id        kadm.TopicID
		partition int32
		want      int64
	}{
		"the same topic":                  {oneID, 1, 6},
		"a partition it does not have":    {oneID, 2, unknown},
		"another topic of the name":       {otherID, 1, unknown},
		"a topic of which no id is known": {kadm.TopicID{}, 1, unknown},
	} {
		if got := has(oneID, 5, 6).of("t", c.id, c.partition); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if got := (mirror{mirrorVersion, map[string]topicOffsets{"t": {kadm.TopicID{}.String(), []int64{5}}}}).of("t", kadm.TopicID{}, 0); got != unknown {
		t.Errorf("without an id: %d", got)
	}
}

// A leader of the past can't write, nor can one that read before somebody else wrote.
func TestMirrorIsWrittenByTheLeaderAlone(t *testing.T) {
	t.Parallel()
	s := fakeSite(t, 1)
	r, m := s.reader(s.queue), s.membership()
	term, stop := s.leading(m)
	must(t, s.writeMirror(s.ctx(), r, has(oneID, 1), 0, term.Lasts()))
	if err := s.writeMirror(s.ctx(), r, has(oneID, 9), 0, term.Lasts()); !errors.Is(err, errMirrorChanged) {
		t.Errorf("over what somebody else wrote: %v", err)
	}
	_, revision, err := s.readMirror(s.ctx(), r)
	must(t, err)
	stop()
	if err := s.writeMirror(s.ctx(), r, has(oneID, 9), revision, term.Lasts()); !errors.Is(err, coord.ErrTermOver) {
		t.Errorf("in a term that is over: %v", err)
	}
	next, stop := s.leading(m)
	defer stop()
	if err := s.writeMirror(s.ctx(), r, has(oneID, 9), revision, term.Lasts()); !errors.Is(err, coord.ErrTermOver) {
		t.Errorf("while another one leads: %v", err)
	}
	got, _, err := s.readMirror(s.ctx(), r)
	must(t, err)
	equal(t, "the mirror", got.Topics["t"].Offsets, []int64{1})
	must(t, s.writeMirror(s.ctx(), r, has(oneID, 2), revision, next.Lasts()))
}

func TestMirrorsHaveKeysOfTheirOwn(t *testing.T) {
	in := Installation{KafkaPrefix: "tasktier", EtcdPrefix: "/x/"}
	for queue, want := range map[string]string{"mail": "/x/offsets/mail", Tiers: "/x/offsets/.tiers"} {
		if got := in.reader(queue).key; got != want {
			t.Errorf("queue %q: %s, want %s", queue, got, want)
		}
	}
	if got := (Installation{}).reader("mail").key; got != "/tasktier/offsets/mail" {
		t.Errorf("by default: %s", got)
	}
}

// A mirror of a later version whose offsets look otherwise is a mirror, and is not written over by an older leader.
func TestAMirrorOfAnotherFormIsNotUnreadable(t *testing.T) {
	for text, over := range map[string]bool{
		`{"version":2,"topics":[{"name":"t"}]}`: false, `{"version":2,"topics":{"t":{"id":7}}}`: false,
		`{"version":1,"topics":{"t":{"id":7}}}`: true, `{"version":"2"}`: true, `nonsense`: true,
	} {
		if _, err := decodeMirror("k", []byte(text)); err == nil || unreadable(err) != over {
			t.Errorf("%s: %v; may be written over: %v, want %v", text, err, unreadable(err), over)
		}
	}
}

// FuzzMirror: whatever stands in a mirror's key, it is understood or refused, and what it is taken for never leads beyond a
// partition's log.
func FuzzMirror(f *testing.F) {
	id := oneID.String()
	for _, text := range []string{
		`{"version":1,"topics":{"t":{"id":"` + id + `","offsets":[5,-1,99999]}}}`, `{"version":1,"topics":{"t":{"id":"` + id + `","offsets":[-7,9223372036854775807]}}}`,
		`{"version":2,"topics":[]}`, `{"version":1,"topics":null}`, `{"version":1,"topics":{"t":null}}`, `{}`, `null`, ``, `{"version":1,"version":2}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := decodeMirror("k", text)
		format := (*FormatError)(nil)
		if err != nil {
			if !errors.As(err, &format) || m.Version != 0 || m.Topics != nil || unreadable(err) == (format.Err == nil) {
				t.Fatalf("read %q: %+v, %v", text, m, err)
			}
			return
		}
		s := survey{partitions: parts([3]int64{unknown, 0, 10}, [3]int64{unknown, 5, 10}, [3]int64{unknown, 5, 5}, [3]int64{7, 0, 10}), ids: map[string]kadm.TopicID{"t": oneID}}
		known, _ := reader{queue: "q"}.resumption(s, m)
		for _, k := range known {
			if p := s.partitions[k.Partition]; k.Offset < p.start || k.Offset > p.end || p.committed != unknown {
				t.Fatalf("read %q: partition %d, %+v, goes on at %d", text, k.Partition, p, k.Offset)
			}
		}
		next, _ := m.follow(s)
		if again, changed := next.follow(s); changed || again.of("t", oneID, 3) != 7 {
			t.Fatalf("read %q: what follows is %+v, and then %+v", text, next, again)
		}
	})
}
