package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// written is how many records were ever written to each partition of "tasks".
func (s *stage) written() []int64 {
	infos := s.cluster.PartitionInfos(names.Pending("tasks"))
	ends := make([]int64, len(infos))
	for _, p := range infos {
		ends[p.Partition] = p.HighWatermark
	}
	return ends
}

// read reads a partition of "tasks" from an offset to its end.
func (s *stage) read(partition int32, from int64) (records []*kgo.Record) {
	s.t.Helper()
	end := s.written()[partition]
	cl := s.dial(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{names.Pending("tasks"): {partition: kgo.NewOffset().At(from)}}))
	defer cl.Close()
	for from+int64(len(records)) < end {
		fetches := cl.PollFetches(s.context())
		if err := fetches.Err(); err != nil {
			s.t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// refuse has the brokers refuse what is written to a topic; to all, if it is "".
func (s *stage) refuse(topic string, err *kerr.Error) *kfake.FaultHandle {
	return s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: err, Count: -1})
}

// pinned sends three quick tasks, one that is stuck at the gate, and ten quick ones behind it, and waits until those have
// ended.
func (s *stage) pinned(g *gate) {
	s.t.Helper()
	s.send("ok", 3)
	s.send("stuck", 1)
	g.await(s.t)
	s.send("ok", 10, task.Source("/behind"))
	s.await(13)
}

// A task that takes long holds the commit back for so long and no longer: then a copy takes its place in the log. It runs
// on, its result counts, and the copy, which is the same turn, waits for that and is dropped.
func TestALongTaskIsHandedOn(t *testing.T) {
	for name, tt := range map[string]struct{ maxPin, window, after time.Duration }{
		"by default":            {0, 0, 10 * time.Minute},
		"as configured":         {2 * time.Minute, 0, 2 * time.Minute},
		"by its queue's memory": {0, 6 * time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, 1, func(t *testing.T, s *stage) {
				c := newClaims(t)
				mux, g, runs := holdOne(t)
				cfg := c.of(s.config(mux))
				cfg.MaxPin, cfg.Queues[0].Window = tt.maxPin, tt.window
				n := s.start(cfg)
				n.assigned(1)
				s.send("ok", 3)
				original := record.Encode(task.New("stuck", []byte("payload"), task.ID("stuck-0"), task.Source("/test"), task.Key("key")), "")
				stamp := record.Stamp{Generation: 2, Turn: 3, Attempt: 4, Err: "no handler since 2026-01-01T00:00:00Z", FirstErr: "no luck"}
				s.raw(record.Move(original, names.Pending("tasks"), original.Key, stamp))
				g.await(t)
				s.send("ok", 10, task.Source("/behind"))
				s.await(13)
				time.Sleep(tt.after - 5*time.Second)
				if s.committed(0) != 3 || s.lag() != 11 {
					t.Errorf("committed %d of %d before its time", s.committed(0), s.written())
				}
				time.Sleep(10 * time.Second)
				if s.committed(0) != 14 || s.lag() != 1 {
					t.Errorf("committed %d of %d after its time, want all but the copy", s.committed(0), s.written())
				}
				copied := s.read(0, 14)[0]
				if got, err := record.ReadStamp(copied); err != nil || !reflect.DeepEqual(got, stamp) {
					t.Errorf("the copy is %+v, %v, want %+v", got, err, stamp)
				}
				if !bytes.Equal(copied.Key, original.Key) || !bytes.Equal(copied.Value, original.Value) || !slices.Equal(unstamped(copied.Headers), unstamped(original.Headers)) {
					t.Errorf("the copy is %v of %v", copied, original)
				}
				time.Sleep(10 * time.Minute)
				if got := n.Stats()[0]; got.Running != 1 || got.InflightRecords != 2 || got.Moved != 1 || got.Repeated != 0 || s.lag() != 1 {
					t.Errorf("%+v, want one that runs and its copy", got)
				}
				close(g.open)
				s.await(14)
				s.all()
				n.halt()
				if got := n.Stats()[0]; got.Repeated != 1 || len(s.ends()) != 14 || len(runs.order()) != 14 || got.InflightRecords != 0 || got.InflightBytes != 0 {
					t.Errorf("%d runs, %d ends, %+v", len(runs.order()), len(s.ends()), got)
				}
				if got := c.look("stuck-0"); got.State != claim.Succeeded || got.Generation != 2 || got.Turn != 3 || got.Attempt != 4 {
					t.Errorf("its claim says %q", got)
				}
			})
		})
	}
}

// What comes back from the run of a task that was handed on is the next turn: the copy is of an earlier one then.
func TestTheCopyOfWhatComesBackIsStale(t *testing.T) {
	for name, answer := range map[string]error{"fails": task.RetryAfter(time.Minute, errors.New("no luck")), "snoozes": task.Snooze(time.Minute)} {
		t.Run(name, func(t *testing.T) {
			play(t, 1, func(t *testing.T, s *stage) {
				c := newClaims(t)
				g := newGate()
				runs := newTally()
				mux := consumer.NewMux()
				handle(t, mux, "ok", nothing)
				handle(t, mux, "stuck", func(ctx context.Context, tk *task.Task) error {
					if runs.run(tk) == 1 {
						_ = g.hold(ctx, tk)
						return answer
					}
					return nil
				})
				cfg := c.of(s.config(mux))
				cfg.MaxPin, cfg.Queues[0].Retry.MaxAttempts = time.Minute, 3
				s.forward()
				n := s.start(cfg)
				n.assigned(1)
				s.pinned(g)
				time.Sleep(2 * time.Minute)
				close(g.open)
				s.all()
				if got := n.Stats()[0]; got.Moved != 1 || got.Repeated != 1 || runs.of("stuck-0") != 1 {
					t.Errorf("%d runs, %+v, want the copy dropped", runs.of("stuck-0"), got)
				}
				time.Sleep(2 * time.Minute)
				s.await(14)
				s.all()
				n.halt()
				if got := c.look("stuck-0"); got.State != claim.Succeeded || got.Turn != 2 || runs.of("stuck-0") != 2 {
					t.Errorf("its claim says %q after %d runs", got, runs.of("stuck-0"))
				}
			})
		})
	}
}

// However much is finished above a stuck task, its partition goes on, and what is held in memory stays what it was: of its
// copies only the last one is waited with.
func TestAStuckTaskDoesNotStopItsPartition(t *testing.T) {
	const tasks = 600
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, g, runs := holdOne(t)
		cfg := c.of(s.config(mux))
		cfg.MaxSpan, cfg.Concurrency, cfg.MaxInflight = 100, 5, 20
		n := s.start(cfg)
		n.assigned(1)
		s.send("stuck", 1)
		g.await(t)
		for i := range tasks {
			s.send("ok", 1, task.ID(fmt.Sprintf("ok-%d", i)))
			if i%100 == 0 {
				time.Sleep(3 * time.Second)
			}
		}
		s.await(tasks)
		time.Sleep(10 * time.Second)
		got := n.Stats()[0]
		if got.Running != 1 || got.Moved < tasks/200 || got.InflightRecords > 3 {
			t.Errorf("%+v, want one that runs and one or two copies", got)
		}
		if lag := s.lag(); lag > int64(cfg.MaxSpan) {
			t.Errorf("%d are not committed", lag)
		}
		close(g.open)
		s.await(tasks + 1)
		s.all()
		n.halt()
		runs.once(t, "ok", tasks)
		runs.once(t, "stuck", 1)
		if got := n.Stats()[0]; got.InflightRecords != 0 || got.InflightBytes != 0 {
			t.Errorf("after the stop %+v", got)
		}
	})
}

// A task that takes hours beside others is handed on again and again, and leaves no trail of copies in memory.
func TestCopiesDoNotPileUp(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, g, runs := holdOne(t)
		cfg := c.of(s.config(mux))
		cfg.MaxPin = time.Minute
		n := s.start(cfg)
		n.assigned(1)
		s.send("stuck", 2)
		for i := range 40 {
			time.Sleep(30 * time.Second)
			s.send("ok", 1, task.ID(fmt.Sprintf("ok-%d", i)))
		}
		if got := n.Stats()[0]; got.Running != 2 || got.Moved < 14 || got.InflightRecords > 6 {
			t.Errorf("after twenty minutes %+v", got)
		}
		close(g.open)
		s.await(42)
		s.all()
		n.halt()
		runs.once(t, "ok", 40)
		runs.once(t, "stuck", 2)
	})
}

// Where a copy is not safe, or would lose its place, there is none: a partition that is held back too far is paused.
func TestNotEverythingIsHandedOn(t *testing.T) {
	const tasks = 300
	for name, without := range map[string]func(c *claims, cfg consumer.Config) consumer.Config{
		"without claims": func(_ *claims, cfg consumer.Config) consumer.Config { return cfg },
		"in an ordered queue": func(c *claims, cfg consumer.Config) consumer.Config {
			cfg.Queues[0].Ordered = true
			return c.of(cfg)
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, 1, func(t *testing.T, s *stage) {
				mux, g, runs := holdOne(t)
				cfg := without(newClaims(t), s.config(mux))
				cfg.MaxSpan, cfg.MaxPin, cfg.Concurrency, cfg.MaxInflight = 50, time.Minute, 5, 20
				n := s.start(cfg)
				n.assigned(1)
				s.send("stuck", 1, task.Key("key"))
				g.await(t)
				s.send("ok", tasks)
				time.Sleep(10 * time.Minute)
				if got := n.Stats()[0]; got.Moved != 0 || got.Polled > 50+20 || s.written()[0] != tasks+1 || s.committed(0) > 0 {
					t.Errorf("%+v, %d written, %d committed; want a pause, and no copy", got, s.written(), s.committed(0))
				}
				close(g.open)
				s.await(tasks + 1)
				s.all()
				n.halt()
				runs.once(t, "ok", tasks)
			})
		})
	}
}

// What is no task has no claim that would let a copy wait: one whose letter is refused for long is not handed on, and gets
// one letter that says where it was read, with the bytes that it had.
func TestWhatIsNoTaskIsNotHandedOn(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		mux, _, _ := holdOne(t)
		cfg := c.of(s.config(mux))
		cfg.MaxPin, cfg.Queues[0].Horizon = time.Minute, time.Hour
		refused := s.refuse(names.Dead("tasks"), kerr.TopicAuthorizationFailed)
		n := s.start(cfg)
		n.assigned(1)
		s.raw(&kgo.Record{Value: []byte("no task")})
		s.send("ok", 1, task.ID("too far ahead"), task.At(time.Now().Add(1000*time.Hour)))
		s.send("ok", 10)
		s.await(10)
		time.Sleep(10 * time.Minute)
		if got := s.written()[0]; got != 12 {
			t.Errorf("%d copies were made", got-12)
		}
		refused.Remove()
		s.await(12)
		s.all()
		n.halt()
		letters := s.letters()
		if len(letters) != 2 {
			t.Fatalf("%d letters, want 2", len(letters))
		}
		for _, letter := range letters {
			stamp, err := record.ReadStamp(letter)
			if err != nil || stamp.Origin != names.Pending("tasks")+"/0/0" && stamp.Origin != names.Pending("tasks")+"/0/1" {
				t.Errorf("a letter says %+v, %v", stamp, err)
			}
		}
	})
}

// The process dies after its task was handed on: the copy is all that is left, and whoever takes it over runs the task.
func TestAProcessDiesAfterHandingOn(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		g := newGate()
		runs := newTally()
		mux := consumer.NewMux()
		handle(t, mux, "ok", func(_ context.Context, tk *task.Task) error { runs.run(tk); return nil })
		handle(t, mux, "stuck", func(ctx context.Context, tk *task.Task) error {
			if runs.run(tk) == 1 {
				return g.obey(ctx, tk)
			}
			return nil
		})
		cfg := c.of(s.config(mux))
		cfg.MaxPin = time.Minute
		n := s.start(cfg)
		n.assigned(1)
		s.pinned(g)
		time.Sleep(2 * time.Minute)
		if s.committed(0) != 14 || s.written()[0] != 15 {
			t.Fatalf("committed %d of %d", s.committed(0), s.written())
		}

		// It dies: nothing that it does at its end reaches anybody.
		c.link.Cut()
		mute := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Err: kerr.UnknownMemberID, Count: -1})
		n.Abort()
		session := c.endLease()
		_ = n.stop()
		mute.Remove()

		other := c.registry.Join()
		cfg.Members = other
		cfg.Claims = c.shared.StoreOver(bubble.NewLink(c.redis.DialContext))
		second := s.start(cfg)
		second.until("the copy", func(s consumer.Stats) bool { return s.Polled == 1 })
		time.Sleep(time.Minute)
		if got := runs.of("stuck-0"); got != 1 {
			t.Errorf("it was started %d times while nobody knew its process to be gone", got)
		}
		c.set(session, false)
		s.await(14)
		s.all()
		second.halt()
		if got := c.look("stuck-0"); got.State != claim.Succeeded || got.Crashes != 1 || runs.of("stuck-0") != 2 || len(runs.order()) != 15 {
			t.Errorf("its claim says %q after %d runs, %d in all", got, runs.of("stuck-0"), len(runs.order()))
		}
	})
}
