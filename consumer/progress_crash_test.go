package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/watermark"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadata is what the group keeps beside the offset of a partition of "tasks".
func (s *stage) metadata(partition int32) string {
	if info := s.cluster.GroupInfo(group); info != nil {
		return info.Commits[names.Pending("tasks")][partition].Metadata
	}
	return ""
}

// noted is how many records of a partition of "tasks" the group knows to be finished above the watermark.
func (s *stage) noted(partition int32) (records int64) {
	r, _ := watermark.Decode(s.metadata(partition))
	for span := range r.Above(0) {
		records += span.To - span.From
	}
	return records
}

// commit puts an offset with metadata into the group, which must be empty.
func (s *stage) commit(offset int64, metadata string) {
	s.t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = group
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = names.Pending("tasks")
	topic.TopicID = s.cluster.TopicInfo(topic.Topic).TopicID
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset, p.Metadata = offset, &metadata
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(s.context(), s.client)
	if err != nil {
		s.t.Fatal(err)
	}
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
		s.t.Fatalf("commit: error %d", code)
	}
}

// A pinned watermark is no reason to repeat what was finished above it: whoever takes over from a node that died runs what
// was not finished, and nothing else. And so does the next one, before it has come to all that the first one finished.
func TestCrashRepeatsOnlyWhatWasNotFinished(t *testing.T) {
	const tasks = 400
	held := []string{"job-0", "job-50", "job-51", "job-300"}
	playReal(t, 1, func(t *testing.T, s *stage) {
		runs := newTally()
		var dead []*node
		crash := func(g *gate, hold ...string) (die func()) {
			mux := consumer.NewMux()
			handle(t, mux, "job", func(ctx context.Context, tk *task.Task) error {
				runs.run(tk)
				if slices.Contains(hold, tk.ID) {
					return g.obey(ctx, tk)
				}
				return nil
			})
			cfg := s.config(mux)
			cfg.Concurrency = 6
			cfg.MaxInflight = 40 // a long way from the first to the last
			cfg.SessionTimeout = time.Second
			l := s.via(&cfg)
			n := s.start(cfg)
			return func() {
				l.Cut()
				n.Abort()
				n.end()
				dead = append(dead, n)
			}
		}

		first := newGate()
		die := crash(first, held...)
		s.send("job", tasks)
		for range held {
			first.await(t)
		}
		eventually(t, "the commit of all that is finished", func() bool {
			return s.committed(0) == 0 && s.noted(0) == tasks-int64(len(held))
		})
		die()

		// Of what is left the second node finishes one, and it knows more finished than it has fetched when it dies.
		second := newGate()
		die = crash(second, "job-0", "job-50", "job-300")
		for range held[1:] {
			second.await(t)
		}
		eventually(t, "the commit of one more", func() bool { return s.noted(0) == tasks-int64(len(held))+1 })
		die()

		die = crash(nil)
		eventually(t, "the commit of all", func() bool { return s.lag() == 0 })
		die()
		for _, n := range dead {
			_ = n.wait() // without brokers its end is not clean
		}
		if got := s.metadata(0); got != "" {
			t.Errorf("all is finished, and the group keeps %q", got)
		}
		want := map[string]int{"job-0": 3, "job-50": 3, "job-51": 2, "job-300": 3}
		for i := range tasks {
			id := fmt.Sprintf("job-%d", i)
			if got := runs.of(id); got != max(want[id], 1) {
				t.Errorf("%s ran %d times, want %d", id, got, max(want[id], 1))
			}
		}
	})
}

// What is finished above the watermark goes with a partition to its next node, also when the first one lives on and its
// oldest task there outlives the drain.
func TestRevocationHandsOverWhatIsFinished(t *testing.T) {
	playReal(t, 2, func(t *testing.T, s *stage) {
		mux, g, runs := holdOne(t)
		cfg := s.config(mux)
		cfg.Drain = 100 * time.Millisecond
		cfg.SessionTimeout = time.Second
		first := s.start(cfg)
		first.assigned(2)
		s.send("stuck", 2)
		s.send("ok", 100)
		g.await(t)
		g.await(t)
		s.await(100)
		second := s.start(cfg)
		second.assigned(1)
		g.await(t) // the stuck one of that partition, again
		close(g.open)
		s.await(103)
		for _, n := range []*node{first, second} {
			if err := n.stop(); err != nil {
				t.Error(err)
			}
		}
		if got := runs.of("stuck-0") + runs.of("stuck-1"); got != 3 {
			t.Errorf("the stuck tasks ran %d times, want 3", got)
		}
		runs.once(t, "ok", 100)
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// A leader that changes is no reason to repeat anything: what was finished before is finished still.
func TestRangesOutliveALeader(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux, g, runs := holdOne(t)
		cfg := s.config(mux)
		cfg.Drain = time.Second
		n := s.start(cfg)
		s.send("stuck", 1)
		s.send("ok", 10)
		s.await(10)
		// The same broker again, as after its restart: a new epoch begins.
		if err := s.cluster.MoveTopicPartition(names.Pending("tasks"), 0, s.cluster.LeaderFor(names.Pending("tasks"), 0)); err != nil {
			t.Fatal(err)
		}
		s.send("ok", 10, task.Source("/later"))
		s.await(20)
		eventually(t, "the commit", func() bool { return s.noted(0) == 20 })
		if got := strings.Count(s.metadata(0), "."); got != 2 {
			t.Errorf("%d leaders are noted, want 2: %q", got, s.metadata(0))
		}
		stopped := make(chan error, 1)
		go func() { stopped <- n.stop() }()
		eventually(t, "the end of its membership", func() bool { return len(s.cluster.GroupInfo(group).Members) == 0 })
		second := s.start(s.config(mux))
		g.await(t)
		g.await(t)
		close(g.open)
		if err := <-stopped; !errors.Is(err, consumer.ErrAbandoned) {
			t.Error(err)
		}
		s.await(22)
		if err := second.stop(); err != nil {
			t.Error(err)
		}
		for i := range 10 {
			if got := runs.of(fmt.Sprintf("ok-%d", i)); got != 2 { // one of each source
				t.Errorf("ok-%d ran %d times, want 2", i, got)
			}
		}
	})
}

// Whatever stands beside a committed offset, no task is left out for it, and what is none of ours does not stay.
func TestHostileMetadata(t *testing.T) {
	all := func(yield func(watermark.Span) bool) { yield(watermark.Span{From: 1, To: 1 << 40}) }
	for name, text := range map[string]string{
		"none":                    "",
		"another client's":        "kgo-1c0ffee0-0000-4000-8000-000000000000",
		"garbage":                 "1:\x00\xff\u2028.A",
		"long":                    strings.Repeat("1:A.BAA", 500),
		"numbers without end":     "1:" + strings.Repeat("_", 4000),
		"of another offset":       watermark.Encode(1, all, 100),
		"of another leader epoch": watermark.Encode(0, func(yield func(watermark.Span) bool) { yield(watermark.Span{From: 1, To: 1 << 40, Epoch: 7}) }, 100),
	} {
		t.Run(name, func(t *testing.T) {
			play(t, 1, func(t *testing.T, s *stage) {
				s.send("ok", 50)
				s.commit(0, text)
				mux, _, runs := holdOne(t)
				n := s.start(s.config(mux))
				s.await(50)
				runs.once(t, "ok", 50)
				eventually(t, "the commit", func() bool { return s.lag() == 0 })
				if got := s.metadata(0); got != "" && s.noted(0) == 0 {
					t.Errorf("%q was left there", got)
				}
				if err := n.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
	// And this is what could not be told from our own.
	play(t, 1, func(t *testing.T, s *stage) {
		s.send("ok", 50)
		s.commit(0, watermark.Encode(0, all, 100))
		mux, _, runs := holdOne(t)
		n := s.start(s.config(mux))
		eventually(t, "the commit", func() bool { return s.lag() == 0 })
		if got := runs.order(); len(got) != 1 {
			t.Errorf("%d tasks ran, want the one that is not said to be finished: %v", len(got), got)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// While the watermark stands still, a commit is made when something more is finished above it, and none when not.
func TestCommitsFollowProgress(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux, g, _ := holdOne(t)
		n := s.start(s.config(mux))
		s.send("stuck", 1)
		g.await(t)
		commits := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Observe: true, Count: -1})
		for i := range 5 {
			s.send("ok", 1, task.Source(fmt.Sprint("/", i)))
			s.await(i + 1)
			time.Sleep(5 * time.Second)
			if got := s.noted(0); got != int64(i+1) || s.committed(0) != 0 {
				t.Errorf("%d are finished; committed are %d and %d above", i+1, s.committed(0), got)
			}
		}
		if got := commits.Hits(); got != 5 {
			t.Errorf("%d commits, want 5", got)
		}
		close(g.open)
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A commit whose metadata is refused is repeated at once without it, because no later commit may follow. Pitfall 26 of
// docs/pitfalls.md.
func TestCommitIsRepeatedWithoutRefusedMetadata(t *testing.T) {
	for _, refusal := range []*kerr.Error{kerr.OffsetMetadataTooLarge, kerr.InvalidCommitOffsetSize} {
		t.Run(refusal.Message, func(t *testing.T) {
			play(t, 1, func(t *testing.T, s *stage) {
				mux := consumer.NewMux()
				g := newGate()
				handle(t, mux, "stuck", g.obey)
				handle(t, mux, "ok", nothing)
				n := s.start(s.config(mux))
				s.send("ok", 5)
				s.send("stuck", 1)
				s.send("ok", 5, task.Source("/more"))
				s.await(10)
				if s.committed(0) >= 0 {
					t.Fatal("committed too early for this test to show anything")
				}
				refuse := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Err: refusal})
				if err := refuse.Wait(s.context(), 1); err != nil {
					t.Fatal(err)
				}
				time.Sleep(100 * time.Millisecond)
				if s.committed(0) != 5 || s.metadata(0) != "" {
					t.Errorf("committed are %d and %q, want 5 and nothing", s.committed(0), s.metadata(0))
				}
				n.Abort()
				if err := n.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
