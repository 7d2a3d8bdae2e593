package consumer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Two members of a group can't wait for each other in a bubble (see playReal), so here the other node is the offer that it
// would make. With two nodes it is shown in test/pipeline.

// offer makes free slots known for a node that has some partitions of "tasks".
func (c *claims) offer(slots int, partitions ...int32) {
	c.t.Helper()
	if err := c.store.Offer(c.t.Context(), "tasks", claim.Spare{Session: "idle", Slots: slots, Partitions: partitions}); err != nil {
		c.t.Fatal(err)
	}
}

// offered is the offer that stands, if any.
func (c *claims) offered() (spare claim.Spare, ok bool) {
	c.t.Helper()
	text, _ := c.redis.Get("tasktier:spare:tasks")
	if text == "" {
		return spare, false
	}
	if err := json.Unmarshal([]byte(text), &spare); err != nil {
		c.t.Fatal(err)
	}
	return spare, true
}

// saturated starts a node with four partitions whose two slots are busy, while 40 more tasks wait there.
func saturated(t *testing.T, s *stage, cfg consumer.Config) *node {
	t.Helper()
	cfg.Concurrency = 2
	n := s.start(cfg)
	n.assigned(4)
	s.send("stuck", 42)
	n.until("all tasks", func(s consumer.Stats) bool { return s.Polled == 42 && s.Running == 2 })
	return n
}

// since is what was written to each partition after before.
func (s *stage) since(before []int64) []int64 {
	now := s.written()
	for i := range now {
		now[i] -= before[i]
	}
	return now
}

// A node whose slots are all busy hands on tasks that have waited for long, as many as another one has slots, directly to
// its partitions. Here they are done with: their offsets are complete, and they run once.
func TestASaturatedNodeHandsOn(t *testing.T) {
	play(t, 4, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, g, runs := holdOne(t)
		n := saturated(t, s, c.of(s.config(mux)))
		before := s.written()

		time.Sleep(1500 * time.Millisecond)
		c.offer(3, 1, 2) // nobody has waited for 5 s when it expires
		time.Sleep(1500 * time.Millisecond)
		if _, stands := c.offered(); !stands {
			t.Error("a node that has nothing to hand on took the offer from those who might")
		}
		time.Sleep(2 * time.Second)
		if _, stands := c.offered(); stands || n.Stats()[0].Moved != 0 {
			t.Errorf("%+v, want nothing handed on yet, and an offer that has expired", n.Stats()[0])
		}
		time.Sleep(2500 * time.Millisecond)
		if got := s.since(before); !slices.Equal(got, []int64{0, 0, 0, 0}) {
			t.Errorf("%v were handed on without an offer", got)
		}

		for i, round := range []struct {
			slots      int
			partitions []int32
			want       []int64 // in all
		}{
			{3, []int32{2}, []int64{0, 0, 3, 0}},
			{5, []int32{1, 3}, []int64{0, 3, 3, 2}},
			{0, []int32{0}, []int64{0, 3, 3, 2}},
			{math.MinInt, []int32{0}, []int64{0, 3, 3, 2}},
			{4, nil, []int64{0, 3, 3, 2}},
		} {
			c.offer(round.slots, round.partitions...)
			time.Sleep(1500 * time.Millisecond)
			if _, stands := c.offered(); stands {
				t.Errorf("round %d: the offer was not taken", i)
			}
			time.Sleep(2 * time.Second)
			if got := s.since(before); !slices.Equal(got, round.want) {
				t.Errorf("round %d: handed on were %v, want %v", i, got, round.want)
			}
		}
		// What was handed on was finished above what still waits.
		noted := s.noted(0) + s.noted(1) + s.noted(2) + s.noted(3)
		var low int64
		for p := range int32(4) {
			low += max(s.committed(p), 0)
		}
		if got := n.Stats()[0]; got.Moved != 8 || noted+low < 6 || got.Running != 2 || len(s.ends()) != 0 {
			t.Errorf("%+v, %d finished above the watermarks and %d below", got, noted, low)
		}
		close(g.open)
		s.await(42)
		s.all()
		n.halt()
		runs.once(t, "stuck", 42)
	})
}

// However many slots are offered, what has come a moment ago stays: its turn here may come first.
func TestOnlyWhatHasWaitedIsHandedOn(t *testing.T) {
	play(t, 4, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, g, runs := holdOne(t)
		n := saturated(t, s, c.of(s.config(mux)))
		time.Sleep(10 * time.Second)
		s.send("ok", 10)
		before := s.written()
		c.offer(1000, 2)
		time.Sleep(2 * time.Second)
		if got := s.since(before); !slices.Equal(got, []int64{0, 0, 40, 0}) {
			t.Errorf("handed on were %v, want the 40 that have waited", got)
		}
		close(g.open)
		s.await(52)
		s.all()
		n.halt()
		runs.once(t, "stuck", 42)
		runs.once(t, "ok", 10)
	})
}

// Partitions that the queue does not have stand for any.
func TestAnOfferNamesNoPartition(t *testing.T) {
	play(t, 4, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, g, runs := holdOne(t)
		n := saturated(t, s, c.of(s.config(mux)))
		time.Sleep(10 * time.Second)
		c.offer(5, -1, math.MinInt32, 4, 1_000_000, math.MaxInt32)
		n.until("five copies", func(s consumer.Stats) bool { return s.Moved == 5 })
		close(g.open)
		s.await(42)
		s.all()
		n.halt()
		runs.once(t, "stuck", 42)
	})
}

// An offer is for one node: of two that are saturated the other one keeps what it has.
func TestAnOfferIsForOneNode(t *testing.T) {
	play(t, 4, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, g, _ := holdOne(t)
		cfg := c.of(s.config(mux))
		a := saturated(t, s, cfg)
		cfg.Prefix, cfg.Members, cfg.Concurrency = "others", c.registry.Join(), 2
		b := s.start(cfg) // in a group of its own, so it has the same tasks
		handle(t, mux, "more", g.hold)
		s.send("more", 8)
		eventually(t, "two busy nodes", func() bool { return a.Stats()[0].Running == 2 && b.Stats()[0].Running == 2 })
		time.Sleep(10 * time.Second)
		before := s.written()
		for range 3 {
			c.offer(3, 2)
			time.Sleep(5 * time.Second)
		}
		if got := s.since(before); !slices.Equal(got, []int64{0, 0, 9, 0}) {
			t.Errorf("of three offers of 3 slots %v were used", got)
		}
		close(g.open)
		eventually(t, "the end of all", func() bool { return s.lag() == 0 })
		a.halt()
		b.halt()
	})
}

// What is handed on and can't be written is not lost: it waits in the tiers if only its queue refuses it, and else here.
func TestWhatIsHandedOnIsRefused(t *testing.T) {
	for name, topic := range map[string]string{"by its queue": names.Pending("tasks"), "by all topics": ""} {
		t.Run(name, func(t *testing.T) {
			play(t, 4, func(t *testing.T, s *stage) {
				c := newClaims(t)
				mux, g, runs := holdOne(t)
				s.forward()
				n := saturated(t, s, c.of(s.config(mux)))
				time.Sleep(10 * time.Second)
				refused := s.refuse(topic, kerr.TopicAuthorizationFailed)
				c.offer(3, 2)
				time.Sleep(30 * time.Second)
				if got := n.Stats()[0]; refused.Hits() == 0 || (topic == "") != (got.Moved == 0) {
					t.Errorf("after %d tries %+v", refused.Hits(), got)
				}
				refused.Remove()
				close(g.open)
				s.awaitWithin(10*time.Minute, 42)
				s.all()
				n.halt()
				runs.once(t, "stuck", 42)
			})
		})
	}
	// And one that is too large for its topic runs where it is.
	play(t, 4, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, g, runs := holdOne(t)
		n := saturated(t, s, c.of(s.config(mux)))
		time.Sleep(10 * time.Second)
		refused := s.refuse("", kerr.MessageTooLarge)
		c.offer(3, 2)
		time.Sleep(10 * time.Second)
		if got := n.Stats()[0]; got.Moved != 0 || got.Dropped != 0 || refused.Hits() == 0 {
			t.Errorf("after %d tries %+v", refused.Hits(), got)
		}
		close(g.open)
		s.await(42)
		s.all()
		n.halt()
		runs.once(t, "stuck", 42)
	})
}

// A node that is kept busy by one task that must run alone hands on what waits for that.
func TestANodeThatRunsATaskAloneHandsOn(t *testing.T) {
	play(t, 4, func(t *testing.T, s *stage) {
		c := newClaims(t)
		suspect := ghost("gone")
		suspect.Crashes, suspect.Type = 2, "stuck"
		c.put("suspect", suspect)
		mux, g, runs := holdOne(t)
		n := s.start(c.of(s.config(mux)))
		n.assigned(4)
		s.send("stuck", 1, task.ID("suspect"))
		g.await(t)
		s.send("ok", 20)
		before := s.written()
		time.Sleep(10 * time.Second)
		if got, ok := c.offered(); ok {
			t.Errorf("it offers %+v, and would start nothing", got)
		}
		c.offer(3, 3)
		time.Sleep(3 * time.Second)
		if got := s.since(before); !slices.Equal(got, []int64{0, 0, 0, 3}) {
			t.Errorf("handed on were %v", got)
		}
		close(g.open)
		s.await(21)
		n.halt()
		runs.once(t, "ok", 20)
	})
}

// A node that has had nothing to do for a while offers its free slots, as long as it would start what comes.
func TestAnIdleNodeOffersItsSlots(t *testing.T) {
	play(t, 4, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, g, _ := holdOne(t)
		cfg := c.of(s.config(mux))
		cfg.Concurrency, cfg.Drain = 8, 20*time.Second
		n := s.start(cfg)
		n.assigned(4)
		stands := func(what string, slots int) {
			t.Helper()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			got, ok := c.offered()
			slices.Sort(got.Partitions)
			want := claim.Spare{}
			if slots > 0 {
				want = claim.Spare{Session: "session-1", Slots: slots, Partitions: []int32{0, 1, 2, 3}}
			}
			if ok != (slots > 0) || !reflect.DeepEqual(got, want) {
				t.Errorf("%s it offers %+v, want %+v", what, got, want)
			}
		}
		stands("with nothing to do", 8)
		s.send("stuck", 6)
		stands("with two slots free", 2)
		s.send("stuck", 1, task.ID("one more"))
		stands("with one slot of eight free", 0)
		session := c.endLease()
		for range 7 {
			g.open <- struct{}{}
		}
		n.until("the end of all", func(s consumer.Stats) bool { return s.Running == 0 })
		stands("without a session", 0)
		c.set(session, false)
		c.open()
		time.Sleep(10 * time.Second)
		if got, ok := c.offered(); !ok || got.Session != "session-2" {
			t.Errorf("with a new session it offers %+v", got)
		}
		s.send("stuck", 1, task.ID("the last"))
		g.await(t)
		n.end()
		stands("while it stops", 0)
		close(g.open)
		if err := n.wait(); err != nil {
			t.Error(err)
		}
	})
}

// A slot that is free for a moment is not offered.
func TestAnOfferFollowsIdleness(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux := consumer.NewMux()
		handle(t, mux, "job", func(ctx context.Context, _ *task.Task) error { time.Sleep(790 * time.Millisecond); return nil })
		cfg := c.of(s.config(mux))
		cfg.Concurrency = 1
		for i := range 10 {
			s.send("job", 1, task.ID(fmt.Sprint(i)))
		}
		n := s.start(cfg)
		n.assigned(1)
		time.Sleep(7 * time.Second)
		if got, ok := c.offered(); ok {
			t.Errorf("a busy node offers %+v", got)
		}
		s.await(10)
		idle := time.Now()
		eventually(t, "an offer", func() bool { _, ok := c.offered(); return ok })
		if took := time.Since(idle); took < time.Second || took > 2100*time.Millisecond {
			t.Errorf("it offered its slot after %v, want its second look at an idle node", took)
		}
		n.halt()
	})
}

// What would come to a node that fetches nothing would wait there: no such partition is offered, and none at all by a node
// whose window is full of tasks that others run.
func TestWhatIsNotFetchedIsNotOffered(t *testing.T) {
	play(t, 4, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, _, _ := holdOne(t)
		cfg := c.of(s.config(mux))
		cfg.Concurrency, cfg.MaxInflight, cfg.MaxSpan = 8, 32, 50
		s.refuse(names.Dead("tasks"), kerr.TopicAuthorizationFailed)
		n := s.start(cfg)
		n.assigned(4)
		s.raw(&kgo.Record{Value: []byte("no task"), Partition: 2}) // its letter is refused
		s.send("ok", 400)
		time.Sleep(20 * time.Second)
		got, _ := c.offered()
		slices.Sort(got.Partitions)
		if !slices.Equal(got.Partitions, []int32{0, 1, 3}) {
			t.Errorf("offered are partitions %v, and 2 is paused", got.Partitions)
		}

		c.set("ghost", true)
		for i := range 30 {
			id := fmt.Sprint("held-", i)
			c.put(id, ghost("ghost"))
			s.send("ok", 1, task.ID(id))
		}
		time.Sleep(20 * time.Second)
		if got, ok := c.offered(); ok {
			t.Errorf("offered is %+v with %d records in the window", got, n.Stats()[0].InflightRecords)
		}
		n.halt()
	})
}

// Ordered queues, and nodes without claims, neither offer nor hand on.
func TestNoSpreadingWhereACopyIsNotSafe(t *testing.T) {
	play(t, 4, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, g, _ := holdOne(t)
		cfg := c.of(s.config(mux))
		cfg.Queues[0].Ordered = true
		cfg.Concurrency = 2
		n := s.start(cfg)
		n.assigned(4)
		time.Sleep(10 * time.Second)
		if got, ok := c.offered(); ok {
			t.Errorf("it offers %+v", got)
		}
		for i := range 12 {
			s.send("stuck", 1, task.ID(fmt.Sprint(i)), task.Key(fmt.Sprint(i)))
		}
		time.Sleep(10 * time.Second)
		c.offer(3, 2)
		time.Sleep(2 * time.Second)
		if _, ok := c.offered(); !ok || n.Stats()[0].Moved != 0 {
			t.Errorf("it took an offer: %+v", n.Stats()[0])
		}
		close(g.open)
		s.await(12)
		n.halt()
	})
}
