package retry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func quick(c *Config) { c.SessionTimeout = 6 * time.Second } // the least that Kafka takes

// TestCleanStopDoublesNothing: forwarders that follow each other in the middle of a slot, while many are due at the same
// millisecond.
func TestCleanStopDoublesNothing(t *testing.T) {
	t.Parallel()
	s := onKfake(t)
	s.listen()
	const n = 1500
	begin := time.Now().Add(time.Second)
	due := func(i int) time.Time {
		return begin.Add(time.Duration(i/500) * time.Second).Truncate(time.Millisecond)
	}
	s.wait(n, due)
	for range 4 {
		f := s.start()
		f.ready(all)
		time.Sleep(400 * time.Millisecond) // it forwards
		f.stop()
	}
	s.start()
	s.once(n, 0, due)
}

// TestKilledForwarder: a process that forwards is killed in the middle of a slot. None is lost; those that are doubled were
// forwarded after its last commit.
func TestKilledForwarder(t *testing.T) {
	if brokers := os.Getenv("RETRY_TEST_BROKERS"); brokers != "" {
		forwardUntilKilled(t, brokers)
	}
	t.Parallel()
	s := onKafka(t)
	s.createTiers()
	s.listen()
	const n = 2000
	begin := time.Now().Add(4 * time.Second)
	due := func(i int) time.Time {
		return begin.Add(time.Duration(i) * 3 * time.Second / n).Truncate(time.Millisecond)
	}
	s.wait(n, due)
	child := exec.Command(os.Args[0], "-test.run=^TestKilledForwarder$")
	child.Env = append(os.Environ(), "RETRY_TEST_BROKERS="+testenv.Kafka(t)[0], "RETRY_TEST_PREFIX="+s.prefix)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Process.Kill() //nolint:errcheck // it is killed below, unless the test fails before
	s.await(n / 2)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	s.start(quick)
	// A commit comes each fifth of a second, in which 133 are forwarded; of a minute's 20,000 that is below 1 %. A machine that
	// does much else may take as long again for the commit, and again for the kill.
	s.once(n, 500, due)
	doubles := 0
	for _, at := range s.await(n) {
		doubles += len(at) - 1
	}
	t.Logf("%d of %d were doubled", doubles, n)
}

func forwardUntilKilled(t *testing.T, brokers string) {
	f, err := New(Config{Kafka: []kgo.Opt{kgo.SeedBrokers(brokers)}, Prefix: os.Getenv("RETRY_TEST_PREFIX"), Fallback: "none", SessionTimeout: 6 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	t.Error(f.Run(ctx)) // never: it is killed
}

// TestRefusedProduce: a broker refuses what comes back for a while; all come back once, and the commit passes none before.
func TestRefusedProduce(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		fault := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: names.Pending(s.queue), Err: kerr.PolicyViolation, Count: -1})
		f := s.start(calm)
		f.ready(all)
		due := time.Now().Add(10 * time.Second)
		s.wait(200, at(due))
		time.Sleep(12 * time.Second)
		f.do(func() {
			for _, slot := range f.opened {
				if slot.opening.tracker.Span() == 0 && slot.opening.tracker.Next() > 0 {
					t.Error("a commit would pass records that were refused")
				}
			}
		})
		fault.Remove()
		if late := s.once(200, 0, at(due)); late > 6*time.Second {
			t.Errorf("the last came back %v late", late)
		}
	})
}

// TestBrokerAway: no broker answers while tasks come due.
func TestBrokerAway(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		s.start(calm).ready(all)
		due := soon(500, 4*time.Second)
		s.wait(500, due)
		time.Sleep(2 * time.Second)
		var away atomic.Bool
		away.Store(true)
		s.cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
			s.cluster.KeepControl()
			return nil, errors.New("away"), away.Load() // the connection is closed
		})
		time.Sleep(10 * time.Second)
		away.Store(false)
		if late := s.once(500, 500, due); late > time.Minute {
			t.Errorf("the last came back %v late", late)
		}
	})
}

// TestBrokerRestarts is the same with a broker that is killed.
func TestBrokerRestarts(t *testing.T) {
	if testing.Short() {
		t.Skip("a broker of its own is started twice: ./check long runs it")
	}
	t.Parallel()
	broker := testenv.StartKafka(t)
	s := newStage(t, nil, kgo.SeedBrokers(broker.Addrs()...))
	s.createTiers()
	s.listen()
	s.start(quick).ready(all)
	due := soon(500, 4*time.Second)
	s.wait(500, func(i int) time.Time { return due(i).Add(2 * time.Second) })
	time.Sleep(time.Until(due(0)))
	if err := broker.Kill(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * time.Second)
	if err := broker.Start(); err != nil {
		t.Fatal(err)
	}
	s.once(500, 500, due)
}

// TestRebalance: forwarders come and go under load; none is lost.
func TestRebalance(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *stage) {
		if s.cluster == nil {
			s.createTiers()
		}
		s.listen()
		const n = 1500
		a := s.start(quick)
		a.ready(all)
		due := soon(n, 4*time.Second)
		s.wait(n, due)
		b := s.start(quick)
		b.ready(all / 3)
		c := s.start(quick)
		c.ready(all / 4)
		a.stop()
		late := s.once(n, n/100, due)
		t.Logf("the latest was %v late", late)
		b.stop()
	})
}

// TestGroupIsLost: the group forgets a forwarder; it joins again and goes on.
func TestGroupIsLost(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.listen()
		s.start(func(c *Config) { c.SessionTimeout = 6 * time.Second }).ready(all)
		const n = 500
		due := soon(n, 20*time.Second)
		s.wait(n, due)
		lost := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.UnknownMemberID, Count: 2})
		s.once(n, 60, due) // what was forwarded after its last commit, twenty-five a second, and a commit may be the one that failed
		if lost.Hits() != 2 {
			t.Errorf("the group forgot it %d times", lost.Hits())
		}
	})
}

// TestRunReturnsWithoutBroker: nothing answers, and Run ends all the same.
func TestRunReturnsWithoutBroker(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	addrs := cluster.ListenAddrs()
	cluster.Close()
	f, err := New(Config{Kafka: []kgo.Opt{kgo.SeedBrokers(addrs...)}, Prefix: "p", Fallback: "q"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, cancel)
	begin := time.Now()
	if err := f.Run(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("Run took %v", took)
	}
}

// TestOverdueInAnyOrder: more is overdue than there is memory for, and lies there with the latest due first. So what was
// dropped comes before what is forwarded already.
func TestOverdueInAnyOrder(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		const n = 2000
		last := time.Now().Add(10 * time.Minute).Truncate(time.Minute).Add(30 * time.Second)
		due := func(i int) time.Time { return last.Add(-time.Duration(i) * time.Millisecond) }
		s.wait(n, due)
		time.Sleep(time.Until(last.Add(time.Minute)))
		s.listen()
		f := s.start(calm, func(c *Config) { c.MaxBytes = 200 << 10 })
		s.once(n, 0, due)
		if f.Stats().Reread == 0 {
			t.Error("all was kept in memory")
		}
		time.Sleep(time.Minute) // whatever else there is to come
		s.once(n, 0, due)
	})
}

// TestMemory: far more is due in a slot than there is memory for, much of it at the same millisecond.
func TestMemory(t *testing.T) {
	for _, same := range []bool{false, true} {
		t.Run(fmt.Sprintf("same millisecond=%v", same), func(t *testing.T) {
			if !same && testing.Short() {
				t.Skip("TestOverdueInAnyOrder has different dues: ./check long runs both")
			}
			s := onKfake(t)
			s.listen()
			const n, limit = 2000, 256 << 10
			begin := time.Now().Add(3 * time.Second).Truncate(time.Second)
			due := func(i int) time.Time {
				if same {
					return begin
				}
				return begin.Add(time.Duration(i*7919%3000) * time.Millisecond)
			}
			s.wait(n, due)
			f := s.start(func(c *Config) { c.MaxBytes = limit })
			var most atomic.Int64
			watching, stop := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for watching.Err() == nil {
					f.do(func() { most.Store(max(most.Load(), f.bytes)) })
					time.Sleep(time.Millisecond)
				}
			}()
			late := s.once(n, 0, due)
			stop()
			<-done
			if f.Stats().Reread == 0 {
				t.Error("all was kept in memory")
			}
			if most.Load() > limit {
				t.Errorf("the heaps took %d bytes", most.Load())
			}
			t.Logf("%d bytes at most, %d dropped, the latest %v late", most.Load(), f.Stats().Reread, late)
		})
	}
}
