package consumer_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Tests of what went wrong in other systems, from docs/pitfalls.md. Those with a file of their own subject are there.

// holdOne returns a mux whose type "stuck" waits at the gate and whose other types are done at once.
func holdOne(t *testing.T) (*consumer.Mux, *gate, *tally) {
	mux, g, runs := consumer.NewMux(), newGate(), newTally()
	handle(t, mux, "stuck", func(ctx context.Context, tk *task.Task) error { runs.run(tk); return g.hold(ctx, tk) })
	handle(t, mux, "ok", func(_ context.Context, tk *task.Task) error { runs.run(tk); return nil })
	return mux, g, runs
}

// Only the watermark is committed, neither the highest finished offset nor the highest offset seen. Pitfalls 2 and 5 of
// docs/pitfalls.md.
func TestOnlyTheWatermarkIsCommitted(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux, g, _ := holdOne(t)
		n := s.start(s.config(mux))
		s.send("ok", 3)
		s.send("stuck", 1)
		s.send("ok", 50)
		s.await(53)
		time.Sleep(10 * time.Second)
		if got := s.committed(0); got != 3 {
			t.Errorf("committed %d while offset 3 is at work", got)
		}
		close(g.open)
		s.await(54)
		eventually(t, "the commit of all", func() bool { return s.committed(0) == 54 })
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A node that stops and gives up its partitions commits what is finished, not what was polled. Autocommit is off, so the
// consumer's own callback for revocations has to commit. Pitfalls 3 and 4 of docs/pitfalls.md.
func TestStopCommitsWhatIsFinished(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux, g, _ := holdOne(t)
		cfg := s.config(mux)
		cfg.Concurrency = 1
		n := s.start(cfg)
		s.send("ok", 5)
		s.send("stuck", 1)
		s.send("ok", 50)
		g.await(t)
		n.end()
		synctest.Wait() // nothing more is started
		close(g.open)
		if err := n.wait(); err != nil {
			t.Error(err)
		}
		if got := s.committed(0); got != 6 {
			t.Errorf("committed %d of 56 polled, 6 of which ran", got)
		}
	})
}

// A topic that was deleted and created again is consumed from its start, although its offsets were used before. Pitfall
// 6 of docs/pitfalls.md.
func TestRecreatedTopicIsConsumedFromItsStart(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux, _, runs := holdOne(t)
		n := s.start(s.config(mux))
		s.send("ok", 50)
		s.await(50)
		eventually(t, "the commit of all", func() bool { return s.lag() == 0 })
		if err := s.cluster.DeleteTopic(names.Pending("tasks")); err != nil {
			t.Fatal(err)
		}
		if err := s.cluster.CreateTopic(names.Pending("tasks"), 1, nil); err != nil {
			t.Fatal(err)
		}
		fresh := s.dial(kgo.RecordPartitioner(kgo.ManualPartitioner()))
		for i := range 30 {
			r := record.Encode(task.New("ok", nil, task.ID(string(rune('A'+i))), task.Source("/new")), names.Pending("tasks"))
			if err := fresh.ProduceSync(s.context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		next := s.start(s.config(mux))
		s.await(80)
		if err := next.stop(); err != nil {
			t.Error(err)
		}
		if got := len(runs.order()); got != 80 {
			t.Errorf("%d runs, want 80", got)
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// After an offset that is out of range the partition starts with a new tracker at the first record that is there:
// nothing is skipped, deliveries from before no longer count, and the commit follows. Pitfall 6 of docs/pitfalls.md.
func TestPartitionRestartsAfterOffsetOutOfRange(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux, g, runs := holdOne(t)
		n := s.start(s.config(mux))
		n.assigned(1)
		s.send("ok", 50)
		s.send("stuck", 1)
		g.await(t)
		eventually(t, "the commit", func() bool { return s.committed(0) == 50 })
		s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: names.Pending("tasks"), Err: kerr.OffsetOutOfRange})
		g.await(t)
		s.await(100)
		if runs.of("ok-0") != 2 || runs.of("stuck-0") != 2 {
			t.Errorf("what is in the log ran %d and %d times, want 2", runs.of("ok-0"), runs.of("stuck-0"))
		}
		close(g.open)
		s.await(102)
		s.send("ok", 5, task.Source("/more"))
		s.await(107)
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
		if st := n.Stats()[0]; st.InflightRecords != 0 || st.InflightBytes != 0 {
			t.Errorf("%d records and %d bytes are in flight after the stop", st.InflightRecords, st.InflightBytes)
		}
	})
}

// A record that is polled again after its partition was lost and reassigned is not mistaken for the delivery from
// before. Pitfall 7 of docs/pitfalls.md.
func TestRecordsRunAgainAfterReassignment(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux, g, runs := holdOne(t)
		n := s.start(s.config(mux))
		n.assigned(1)
		s.send("stuck", 1)
		s.send("ok", 20)
		s.await(20)
		s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: group, Err: kerr.UnknownMemberID})
		s.await(40)
		if runs.of("stuck-0") != 2 || runs.of("ok-19") != 2 {
			t.Errorf("after the partition came back the tasks ran %d and %d times, want 2", runs.of("stuck-0"), runs.of("ok-19"))
		}
		close(g.open)
		s.await(42)
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// The records in memory never exceed the in-flight limit, however many there are and however many fail. Pitfall 9 of
// docs/pitfalls.md.
func TestInFlightLimitIsKept(t *testing.T) {
	play(t, 4, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		var n *node
		cfg := s.config(mux)
		cfg.Concurrency, cfg.MaxInflight = 5, 100
		handle(t, mux, "ok", func(context.Context, *task.Task) error {
			time.Sleep(time.Millisecond)
			if st := n.Stats()[0]; st.InflightRecords > cfg.MaxInflight {
				t.Errorf("%d records in flight, at most %d", st.InflightRecords, cfg.MaxInflight)
			}
			if len(s.ends())%7 == 0 {
				return errors.New("no luck")
			}
			return nil
		})
		s.send("ok", 800)
		n = s.start(cfg)
		s.await(800)
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		if st := n.Stats()[0]; st.InflightRecords != 0 || st.InflightBytes != 0 {
			t.Errorf("%d records and %d bytes are in flight after the stop", st.InflightRecords, st.InflightBytes)
		}
	})
}

// A partition that is paused because one task holds back too many resumes when that task ends, and also when the
// partition is lost and reassigned meanwhile. Pitfall 10 of docs/pitfalls.md.
func TestPausedPartitionResumes(t *testing.T) {
	for _, away := range []bool{false, true} {
		play(t, 1, func(t *testing.T, s *stage) {
			mux, g, runs := holdOne(t)
			cfg := s.config(mux)
			cfg.MaxSpan, cfg.Concurrency, cfg.MaxInflight = 100, 5, 20
			n := s.start(cfg)
			s.send("stuck", 1)
			s.send("ok", 1000)
			g.await(t)
			time.Sleep(20 * time.Second)
			held := int(n.Stats()[0].Polled)
			if held < 100 || held > 100+cfg.MaxInflight {
				t.Errorf("%d polled past a stuck task, at most a poll more than %d", held, cfg.MaxSpan)
			}
			if away {
				s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: group, Err: kerr.UnknownMemberID})
				n.until("fetched again", func(s consumer.Stats) bool { return int(s.Polled) > held })
			}
			close(g.open)
			eventually(t, "the commit of all", func() bool { return s.lag() == 0 })
			if !away {
				runs.once(t, "ok", 1000)
			}
			if err := n.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Tasks of every partition are dead-lettered also where the dead-letter topic has fewer partitions than the queue.
// Pitfall 13 of docs/pitfalls.md.
func TestDeadLetterTopicMayHaveFewerPartitions(t *testing.T) {
	play(t, 8, func(t *testing.T, s *stage) {
		if err := s.cluster.DeleteTopic(names.Dead("tasks")); err != nil {
			t.Fatal(err)
		}
		if err := s.cluster.CreateTopic(names.Dead("tasks"), 1, nil); err != nil {
			t.Fatal(err)
		}
		mux := consumer.NewMux()
		handle(t, mux, "fails", fails)
		n := s.start(s.config(mux))
		s.send("fails", 40)
		s.await(40)
		if got := len(s.letters()); got != 40 {
			t.Errorf("%d letters, want 40", got)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A dead letter that the broker refuses is produced again with growing pauses, not in a loop, and without end: the backoff
// does not stop after 15 minutes. Pitfalls 14 and 40 of docs/pitfalls.md.
func TestRefusedDeadLetterIsRetriedWithBackoff(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		handle(t, mux, "fails", fails)
		refuse := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: names.Dead("tasks"), Err: kerr.MessageTooLarge, Count: -1})
		n := s.start(s.config(mux))
		s.send("fails", 1)
		time.Sleep(5 * time.Minute)
		if got := refuse.Hits(); got < 10 || got > 100 {
			t.Errorf("%d tries in five minutes", got)
		}
		time.Sleep(15 * time.Minute)
		refuse.Remove()
		s.await(1)
		if got := len(s.letters()); got != 1 {
			t.Errorf("%d letters", got)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Tasks that snooze are delivered again without a restart, and do not hold back the commit for ever. Pitfall 16 of
// docs/pitfalls.md.
func TestSnoozedTasksDoNotHoldTheCommit(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux, runs := consumer.NewMux(), newTally()
		handle(t, mux, "later", func(_ context.Context, tk *task.Task) error {
			if runs.run(tk) < 5 {
				return task.Snooze(time.Second)
			}
			return nil
		})
		s.forward()
		n := s.start(s.config(mux))
		s.send("later", 10)
		s.await(10)
		eventually(t, "the commit of all", func() bool { return s.lag() == 0 })
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A consumer that is not polled for minutes is unhealthy. One that waits for slow handlers is healthy, also right after
// they have returned. Pitfall 18 of docs/pitfalls.md.
func TestUnpolledConsumerIsUnhealthy(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux, g, _ := holdOne(t)
		cfg := s.config(mux)
		cfg.Concurrency, cfg.MaxInflight = 1, 4
		idle, err := consumer.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if idle.Healthy() == nil {
			t.Error("a consumer that is not polled for minutes says that it is healthy")
		}
		idle.Close()
		n := s.start(cfg)
		s.send("stuck", 4)
		g.await(t)
		time.Sleep(5 * time.Minute)
		if err := n.Healthy(); err != nil {
			t.Errorf("while handlers are slow: %v", err)
		}
		close(g.open)
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			if err := n.Healthy(); err != nil {
				t.Errorf("when there is room again: %v", err)
			}
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Pausing a partition drops what the client has buffered and fetches it again; no task is missed or run twice. Pitfall
// 19 of docs/pitfalls.md.
func TestPausingRunsEachTaskOnce(t *testing.T) {
	play(t, 2, func(t *testing.T, s *stage) {
		mux, runs := consumer.NewMux(), newTally()
		handle(t, mux, "job", func(_ context.Context, tk *task.Task) error {
			if runs.run(tk); len(tk.ID)%3 == 0 && tk.ID[len(tk.ID)-1] < '2' {
				time.Sleep(300 * time.Millisecond)
			}
			return nil
		})
		cfg := s.config(mux)
		cfg.MaxSpan, cfg.Concurrency, cfg.MaxInflight = 10, 3, 12
		n := s.start(cfg)
		s.send("job", 500)
		s.await(500)
		runs.once(t, "job", 500)
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A task of an aborted transaction never runs, and the gap that it leaves does not hold back the commit. Pitfall 24 of
// docs/pitfalls.md.
func TestAbortedTransactionsAreSkipped(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux, _, runs := holdOne(t)
		n := s.start(s.config(mux))
		service := s.dial(kgo.TransactionalID("service"))
		for i, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
			if err := service.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			r := record.Encode(task.New("ok", nil, task.ID([]string{"no", "yes", "never"}[i]), task.Source("/s")), names.Pending("tasks"))
			if err := service.ProduceSync(s.context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := service.EndTransaction(s.context(), end); err != nil {
				t.Fatal(err)
			}
		}
		s.send("ok", 1)
		s.await(2)
		if got := runs.order(); len(got) != 2 || runs.of("yes") != 1 || runs.of("ok-0") != 1 {
			t.Errorf("ran %q", got)
		}
		eventually(t, "the commit of all", func() bool { return s.lag() == 0 })
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// In an ordered queue, tasks without a key wait for no other task, and one key in two queues is two keys. Pitfall 25 of
// docs/pitfalls.md.
func TestOrderingKeysAreOfOneQueue(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux, g, _ := holdOne(t)
		cfg := s.config(mux)
		cfg.Queues = []consumer.Queue{{Name: "tasks", Ordered: true}, {Name: "other", Ordered: true}}
		n := s.start(cfg)
		s.send("stuck", 1, task.Key("k"))
		s.send("stuck", 1)
		g.await(t)
		g.await(t)
		s.send("ok", 5)
		s.sendTo("other", "ok", 5, task.Key("k"))
		s.await(10)
		close(g.open)
		s.await(12)
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	}, "other")
}
