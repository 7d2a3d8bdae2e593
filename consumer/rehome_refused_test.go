package consumer_test

import (
	"testing"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A task whose copy is refused holds its offset until the copy is written, and runs on meanwhile. What only its queue
// refuses waits in the tiers and comes back from there.
func TestACopyIsRefused(t *testing.T) {
	for name, topic := range map[string]string{"by its queue": names.Pending("tasks"), "by all topics": ""} {
		t.Run(name, func(t *testing.T) {
			play(t, 1, func(t *testing.T, s *stage) {
				c := newClaims(t)
				mux, g, runs := holdOne(t)
				cfg := c.of(s.config(mux))
				cfg.MaxPin = time.Minute
				s.forward()
				n := s.start(cfg)
				n.assigned(1)
				s.pinned(g)
				refused := s.refuse(topic, kerr.TopicAuthorizationFailed)
				time.Sleep(3 * time.Minute)
				want := int64(14)
				if topic == "" {
					want = 3
				}
				if got := s.committed(0); got != want || s.written()[0] != 14 || refused.Hits() < 3 {
					t.Errorf("committed %d after %d tries, want %d", got, refused.Hits(), want)
				}
				refused.Remove()
				time.Sleep(20 * time.Second)
				if got := s.committed(0); got != 14 {
					t.Errorf("committed %d when it was refused no longer", got)
				}
				time.Sleep(6 * time.Minute)
				if got := n.Stats()[0]; s.written()[0] != 15 || got.Moved != 1 || got.Running != 1 || got.Repeated != 0 {
					t.Errorf("%d written, %+v; want the copy to be back, once", s.written(), got)
				}
				close(g.open)
				s.await(14)
				s.all()
				n.halt()
				if got := n.Stats()[0]; got.Repeated != 1 || len(runs.order()) != 14 || len(s.ends()) != 14 {
					t.Errorf("%d runs, %d ends, %+v", len(runs.order()), len(s.ends()), got)
				}
			})
		})
	}
}

// A copy that is too large for its topic is not tried for ever; the task ends as any other.
func TestACopyIsTooLarge(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, g, _ := holdOne(t)
		cfg := c.of(s.config(mux))
		cfg.MaxPin, cfg.Drain = time.Minute, time.Second
		n := s.start(cfg)
		n.assigned(1)
		s.pinned(g)
		refused := s.refuse(names.Pending("tasks"), kerr.MessageTooLarge)
		time.Sleep(10 * time.Minute)
		if got := refused.Hits(); got != 2 || s.committed(0) != 3 {
			t.Errorf("%d tries in ten minutes, want one with others and one alone; committed %d", got, s.committed(0))
		}
		close(g.open)
		s.await(14)
		s.all()
		n.halt()
	})
}

// A task that ends before its copy is written has completed its own offset, and the copy's acknowledgement completes no
// other: the place of the task in its tracker may be another record's by then.
func TestATaskEndsBeforeItsCopyIsWritten(t *testing.T) {
	const ring = 64 // places of a small tracker
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, first, runs := holdOne(t)
		second := newGate()
		handle(t, mux, "stuck too", second.hold)
		cfg := c.of(s.config(mux))
		cfg.MaxPin = time.Minute
		n := s.start(cfg)
		n.assigned(1)
		s.send("stuck", 1)
		first.await(t)
		s.send("ok", ring-1)
		s.await(ring - 1)
		refused := s.refuse("", kerr.TopicAuthorizationFailed)
		if err := refused.Wait(s.context(), 3); err != nil {
			t.Fatal(err)
		}
		close(first.open)
		s.all()
		refused.Remove()
		s.send("stuck too", 1) // in the place that the first one had
		second.await(t)
		s.send("ok", 10, task.Source("/behind"))
		s.await(ring + 10)
		n.until("the acknowledgement", func(s consumer.Stats) bool { return s.Moved == 1 })
		time.Sleep(10 * time.Second)
		if want := s.written()[0] - ring - 1; s.committed(0) != ring || s.noted(0) != want {
			t.Errorf("committed %d and %d above, want %d and %d: all but the second one", s.committed(0), s.noted(0), ring, want)
		}
		close(second.open)
		s.await(ring + 11)
		s.all()
		n.halt()
		runs.once(t, "stuck", 1)
	})
}

// A task that is handed on and ends then does not complete its offset twice either.
func TestATaskEndsAfterItsCopyIsWritten(t *testing.T) {
	const ring = 64
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, first, _ := holdOne(t)
		second := newGate()
		handle(t, mux, "stuck too", second.hold)
		cfg := c.of(s.config(mux))
		cfg.MaxPin = time.Minute
		n := s.start(cfg)
		n.assigned(1)
		s.send("stuck", 1)
		first.await(t)
		s.send("ok", ring-2)
		s.await(ring - 2)
		n.until("the copy", func(s consumer.Stats) bool { return s.Moved == 1 && s.Polled == ring }) // the last of so many
		s.send("stuck too", 1)
		second.await(t)
		s.send("ok", 10, task.Source("/behind"))
		s.await(ring + 8)
		close(first.open)
		s.await(ring + 9)
		n.until("the end of the copy", func(s consumer.Stats) bool { return s.Repeated == 1 })
		time.Sleep(5 * time.Second)
		if s.committed(0) != ring || s.noted(0) != 10 {
			t.Errorf("committed %d and %d above, want %d and 10", s.committed(0), s.noted(0), ring)
		}
		close(second.open)
		s.await(ring + 10)
		s.all()
		n.halt()
	})
}

// A copy that is written after its partition was lost completes nothing in what the partition is now.
func TestAPartitionIsLostBeforeACopyIsWritten(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, g, runs := holdOne(t)
		cfg := c.of(s.config(mux))
		cfg.MaxPin = time.Minute
		n := s.start(cfg)
		n.assigned(1)
		s.pinned(g)
		refused := s.refuse("", kerr.TopicAuthorizationFailed)
		if err := refused.Wait(s.context(), 3); err != nil {
			t.Fatal(err)
		}
		polled := n.Stats()[0].Polled
		s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: group, Err: kerr.UnknownMemberID})
		n.until("its return", func(s consumer.Stats) bool { return s.Polled > polled })
		time.Sleep(5 * time.Second)
		refused.Remove()
		n.until("the acknowledgement", func(s consumer.Stats) bool { return s.Moved == 1 })
		time.Sleep(5 * time.Second)
		if got := s.committed(0); got != 3 {
			t.Errorf("committed %d, but the record that was delivered again is held", got)
		}
		time.Sleep(2 * time.Minute)
		if got := n.Stats()[0]; s.committed(0) != 14 || got.Moved != 2 {
			t.Errorf("committed %d, %+v; want that one handed on as well", s.committed(0), got)
		}
		close(g.open)
		s.await(14)
		s.all()
		n.halt()
		runs.once(t, "stuck", 1)
		if got := c.look("stuck-0"); got.State != claim.Succeeded {
			t.Errorf("its claim says %q", got)
		}
	})
}

// A partition that goes to another node takes a task along whose copy is being written: record and copy wait there for
// its end, and it runs once.
func TestAPartitionIsRevokedBeforeACopyIsWritten(t *testing.T) {
	playReal(t, 2, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, g, runs := holdOne(t)
		cfg := c.of(s.config(mux))
		cfg.MaxPin, cfg.Drain, cfg.SessionTimeout = 100*time.Millisecond, 100*time.Millisecond, time.Second
		first := s.start(cfg)
		first.assigned(2)
		s.send("stuck", 2)
		s.send("ok", 100)
		g.await(t)
		g.await(t)
		s.await(100)
		refused := s.refuse("", kerr.TopicAuthorizationFailed)
		if err := refused.Wait(s.context(), 2); err != nil {
			t.Fatal(err)
		}
		cfg.Members = c.registry.Join()
		second := s.start(cfg)
		second.until("the record of the partition that went", func(s consumer.Stats) bool { return s.Partitions == 1 && s.Polled == 1 })
		refused.Remove()
		first.until("the copies", func(s consumer.Stats) bool { return s.Moved >= 2 })
		close(g.open)
		s.await(102)
		s.all()
		for _, n := range []*node{first, second} {
			n.halt()
		}
		runs.once(t, "stuck", 2)
		runs.once(t, "ok", 100)
	})
}
