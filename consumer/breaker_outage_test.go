package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/testenv/race"
	"github.com/tasktier/tasktier/retry"
	"github.com/tasktier/tasktier/task"
)

// A backend is what handlers call; it may be away.
type backend struct {
	takes time.Duration // what a call takes

	mu       sync.Mutex
	away     bool
	failures int // calls that failed
}

var errAway = errors.New("the backend is away")

func (b *backend) handle(context.Context, *task.Task) error { return b.call() }

func (b *backend) call() error {
	time.Sleep(b.takes)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		b.failures++
		return errAway
	}
	return nil
}

func (b *backend) set(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

func (b *backend) failed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures
}

// breaker is the state of a type's breaker.
func (n *node) breaker(typ string) consumer.BreakerStats {
	n.t.Helper()
	for _, s := range n.Breakers() {
		if s.Type == typ {
			return s
		}
	}
	n.t.Fatalf("type %s has no breaker", typ)
	return consumer.BreakerStats{}
}

// long is how long a type has worked before its outage, so that this is believed.
const long = 2 * time.Minute

// five lets a task fail five times, with short delays in between.
var five = retry.Policy{MaxAttempts: 5, Base: time.Second, Max: 10 * time.Second}

// worked are the tasks of a type that have succeeded; others that have ended fail the test.
func (s *stage) worked(typ string) (n int, highest int) {
	s.t.Helper()
	for _, e := range s.ends() {
		if e.Task.Type != typ {
			continue
		}
		if e.State != task.Succeeded {
			s.t.Fatalf("%s is %s %s: %v", e.Task.ID, e.State, e.Reason, e.Err)
		}
		n++
		highest = max(highest, e.Task.Attempt)
	}
	return n, highest
}

// Thousands of tasks with five attempts each, whose backend is away for ten minutes: few attempts are spent, none is dead,
// and soon after it is back all have succeeded. Another type of the same queue notices nothing.
func TestOutageSparesAttempts(t *testing.T) {
	tasks, outage, concurrency := 10_000, 10*time.Minute, 0
	switch {
	case testing.Short():
		tasks, outage, concurrency = 100, 5*time.Minute, 10
	case race.On:
		tasks = 500
	}
	play(t, 4, func(t *testing.T, s *stage) {
		b := &backend{takes: 20 * time.Millisecond}
		mux := consumer.NewMux()
		handle(t, mux, "mail", b.handle)
		var mu sync.Mutex
		var late time.Duration
		var sent time.Time
		handle(t, mux, "other", func(context.Context, *task.Task) error {
			mu.Lock()
			defer mu.Unlock()
			late = max(late, time.Since(sent))
			return nil
		})
		cfg := s.config(mux)
		cfg.Concurrency = concurrency
		cfg.Queues[0].Retry = five
		s.forward()
		n := s.start(cfg)
		n.assigned(4)
		s.send("mail", 50)
		s.await(50)
		time.Sleep(long)
		b.set(true)
		began := time.Now()
		s.send("mail", tasks, task.Source("/outage"))
		for i := 0; time.Since(began) < outage; i++ {
			mu.Lock()
			sent = time.Now()
			mu.Unlock()
			s.send("other", 10, task.Source(fmt.Sprint("/", i)))
			time.Sleep(10 * time.Second)
			if st := n.breaker("other"); st.State != consumer.BreakerClosed {
				t.Errorf("the other type: %+v", st)
			}
		}
		if st := n.breaker("mail"); st.State != consumer.BreakerOpen || st.Openings != 1 || st.Spared < uint64(tasks) {
			t.Errorf("%+v", st)
		}
		others, _ := s.worked("other")
		if want := int(outage / time.Second); others != want || late > 500*time.Millisecond {
			t.Errorf("%d of %d of the other type have succeeded, the latest %v late", others, want, late)
		}
		if got := b.failed(); got > min(tasks, 500) {
			t.Errorf("%d attempts were spent", got)
		}
		b.set(false)
		back := time.Now()
		s.awaitWithin(5*time.Minute, 50+others+tasks)
		if took := time.Since(back); took > 2*time.Minute {
			t.Errorf("all have succeeded %v after it was back", took)
		}
		if got, highest := s.worked("mail"); got != 50+tasks || highest > 2 {
			t.Errorf("%d have succeeded, the last in attempt %d", got, highest)
		}
		if st := n.breaker("mail"); st.State != consumer.BreakerClosed || st.Openings > 2 {
			t.Errorf("%+v", st)
		}
		t.Logf("%d attempts failed; all done %v after the outage; %+v", b.failed(), time.Since(back), n.breaker("mail"))
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A backend that is away for three quarters of the time, in turns: far fewer tasks die of it than without a breaker.
func TestFlappingBackend(t *testing.T) {
	if testing.Short() || race.On {
		t.Skip("takes minutes: ./check long runs it without the race detector, and TestOutageSparesAttempts shows the breaker")
	}
	const tasks = 1000
	dead := make(map[bool]int)
	for _, off := range []bool{false, true} {
		play(t, 2, func(t *testing.T, s *stage) {
			b := &backend{takes: 200 * time.Millisecond}
			mux := consumer.NewMux()
			handle(t, mux, "mail", b.handle)
			cfg := s.config(mux)
			cfg.Concurrency = 20
			cfg.Breaker.Off = off
			cfg.Queues[0].Retry = five
			s.forward()
			n := s.start(cfg)
			s.send("mail", 20)
			s.await(20)
			time.Sleep(long)
			sent := time.Now()
			s.send("mail", tasks, task.Source("/flapping"))
			for i := 0; len(s.ends()) < 20+tasks && time.Since(sent) < time.Hour; i++ {
				b.set(i%4 != 3)
				time.Sleep(5 * time.Second)
			}
			for _, e := range s.await(20 + tasks) {
				if e.State == task.Dead {
					dead[off]++
				}
			}
			t.Logf("off=%v: %d dead, done after %v, %d attempts failed, %+v", off, dead[off], time.Since(sent), b.failed(), n.Breakers())
			if err := n.stop(); err != nil {
				t.Error(err)
			}
		})
	}
	if dead[false] > tasks/10 || dead[true] < 5*dead[false] {
		t.Errorf("%d are dead with a breaker and %d without", dead[false], dead[true])
	}
}

// Where half of the attempts fail, and where one task fails for itself, nothing is spared.
func TestNoOutage(t *testing.T) {
	play(t, 2, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		handle(t, mux, "half", func(_ context.Context, tk *task.Task) error {
			var n int
			if _, err := fmt.Sscanf(tk.ID, "half-%d", &n); err != nil {
				return task.Permanent(err)
			}
			if uint32(n+tk.Attempt)*2654435761>>31 == 0 { // in no order
				return errAway
			}
			return nil
		})
		handle(t, mux, "mostly", func(_ context.Context, tk *task.Task) error {
			if tk.ID == "mostly-0" {
				return errAway
			}
			return nil
		})
		cfg := s.config(mux)
		cfg.Queues[0].Retry = retry.Policy{MaxAttempts: 1000, Base: time.Millisecond, Max: time.Millisecond}
		s.forward()
		n := s.start(cfg)
		s.send("mostly", 2)
		n.until("hundreds of attempts", func(st consumer.Stats) bool { return st.Retried > 300 })
		s.send("half", 600)
		s.await(601)
		n.until("the end of the one that fails", func(consumer.Stats) bool { return len(s.ends()) == 602 })
		for _, st := range n.Breakers() {
			if st.Openings > 0 || st.Spared > 0 || st.State != consumer.BreakerClosed {
				t.Errorf("%+v", st)
			}
		}
		dead := 0
		for _, e := range s.ends() {
			if e.State == task.Dead {
				dead++
			}
		}
		if dead != 1 {
			t.Errorf("%d are dead", dead)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// What never worked here runs out of attempts, unless it makes no connection. Off means off.
func TestWhatIsSpared(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	tests := map[string]struct {
		before  int  // tasks that succeed first
		moment  bool // and that has been just now
		err     error
		breaker *consumer.Breaker
		spared  bool
		later   time.Duration // how long all takes to end
	}{
		"it has worked":                       {before: 1, err: errAway, spared: true},
		"it has worked for a moment":          {before: 1, moment: true, err: errAway},
		"it has never worked":                 {err: errAway},
		"no connection":                       {err: fmt.Errorf("post: %w", dial), spared: true},
		"no such host":                        {err: &net.DNSError{Name: "backend", IsNotFound: true}, spared: true},
		"it is off":                           {before: 1, err: dial, breaker: &consumer.Breaker{Off: true}},
		"it takes more attempts than that":    {before: 1, err: errAway, breaker: &consumer.Breaker{MinAttempts: 200}},
		"the window is too short":             {before: 1, err: errAway, breaker: &consumer.Breaker{Window: time.Millisecond}},
		"permanent failures say nothing":      {before: 1, err: task.Permanent(errAway)},
		"what is spared comes when it is due": {before: 1, err: task.RetryAfter(20*time.Minute, errAway), spared: true, later: 20 * time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			play(t, 2, func(t *testing.T, s *stage) {
				const tasks = 60
				var mu sync.Mutex
				runs := 0
				works := true
				mux := consumer.NewMux()
				handle(t, mux, "mail", func(_ context.Context, tk *task.Task) error {
					time.Sleep(10 * time.Millisecond)
					mu.Lock()
					defer mu.Unlock()
					if works {
						return nil
					}
					runs++
					return tt.err
				})
				cfg := s.config(mux) // a failure is final
				cfg.Concurrency = 10
				cfg.Types = map[string]consumer.Type{"mail": {Breaker: tt.breaker}}
				s.forward()
				n := s.start(cfg)
				s.send("mail", tt.before)
				s.await(tt.before)
				if !tt.moment {
					time.Sleep(long)
				}
				mu.Lock()
				works = false
				mu.Unlock()
				s.send("mail", tasks, task.Source("/outage"))
				time.Sleep(time.Minute)
				mu.Lock()
				works = true
				mu.Unlock()
				time.Sleep(tt.later)
				s.await(tt.before + tasks)
				dead := 0
				for _, e := range s.ends() {
					if e.State == task.Dead {
						dead++
					}
				}
				if spared := dead <= 30 && dead > 0 && runs < 50; spared != tt.spared || !spared && dead != tasks {
					t.Errorf("%d are dead after %d attempts that failed", dead, runs)
				}
				if err := n.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// In an ordered queue a task waits in place, and those of its key behind it, in their order.
func TestOutageInOrder(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		b := &backend{takes: time.Millisecond}
		mux := consumer.NewMux()
		var mu sync.Mutex
		order := make(map[string][]string)
		handle(t, mux, "mail", func(_ context.Context, tk *task.Task) error {
			if err := b.call(); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			order[tk.Key] = append(order[tk.Key], tk.ID)
			return nil
		})
		cfg := s.config(mux)
		cfg.Queues[0].Ordered = true
		cfg.Queues[0].Retry = five
		n := s.start(cfg)
		s.send("mail", 3, task.Key("before"))
		s.await(3)
		time.Sleep(long)
		b.set(true)
		const keys, each = 50, 4
		for k := range keys {
			s.send("mail", each, task.Key(fmt.Sprint("key-", k)), task.Source(fmt.Sprint("/", k)))
		}
		time.Sleep(10 * time.Minute)
		if got := b.failed(); got > 150 {
			t.Errorf("%d attempts were spent", got)
		}
		b.set(false)
		s.await(3 + keys*each)
		if got, _ := s.worked("mail"); got != 3+keys*each {
			t.Errorf("%d have succeeded", got)
		}
		for key, ids := range order {
			if key != "before" && !slices.Equal(ids, []string{"mail-0", "mail-1", "mail-2", "mail-3"}) {
				t.Errorf("%s ran in the order %v", key, ids)
			}
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Time goes on in an outage: a task whose expiry passes is dead as expired, and one that is delayed starts no earlier.
func TestExpiryInAnOutage(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		b := &backend{takes: time.Millisecond}
		mux := consumer.NewMux()
		var early atomic.Bool
		handle(t, mux, "mail", func(_ context.Context, tk *task.Task) error {
			if time.Now().Before(tk.NotBefore) {
				early.Store(true)
			}
			return b.call()
		})
		cfg := s.config(mux)
		cfg.Queues[0].Retry = five
		s.forward()
		n := s.start(cfg)
		s.send("mail", 5)
		s.await(5)
		time.Sleep(long)
		b.set(true)
		s.send("mail", 50, task.Source("/outage"))
		n.until("an opening", func(consumer.Stats) bool { return n.breaker("mail").State == consumer.BreakerOpen })
		s.send("mail", 10, task.Source("/expires"), task.Expires(time.Now().Add(2*time.Minute)))
		s.send("mail", 10, task.Source("/delayed"), task.In(5*time.Minute))
		time.Sleep(4 * time.Minute)
		ends := s.ends()[5:]
		if len(ends) != 10 {
			t.Errorf("%d have ended in the outage", len(ends))
		}
		for _, e := range ends {
			if e.Task.Source != "/expires" || e.Reason != task.ReasonExpired {
				t.Errorf("%s%s is %s %s", e.Task.Source, e.Task.ID, e.State, e.Reason)
			}
		}
		b.set(false)
		time.Sleep(3 * time.Minute)
		for _, e := range s.await(5 + 50 + 10 + 10)[15:] {
			if e.State != task.Succeeded {
				t.Errorf("%s%s is %s %s", e.Task.Source, e.Task.ID, e.State, e.Reason)
			}
		}
		if early.Load() {
			t.Error("one started before its time")
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// With claims: what is spared is pending in its next turn and its first attempt, can be canceled, and runs to success once.
func TestOutageWithClaims(t *testing.T) {
	play(t, 2, func(t *testing.T, s *stage) {
		c := newClaims(t)
		b := &backend{takes: 10 * time.Millisecond}
		mux := consumer.NewMux()
		succeeded := newTally()
		handle(t, mux, "mail", func(_ context.Context, tk *task.Task) error {
			err := b.call()
			if err == nil {
				succeeded.run(tk)
			}
			return err
		})
		cfg := c.of(s.config(mux))
		cfg.Concurrency = 10
		cfg.Queues[0].Retry = five
		s.forward()
		n := s.start(cfg)
		s.send("mail", 5, task.Source("/before"))
		s.await(5)
		time.Sleep(long)
		b.set(true)
		const tasks = 100
		s.send("mail", tasks)
		time.Sleep(2 * time.Minute)
		id, spared := "", 0
		for i := range tasks {
			if got := c.look(fmt.Sprint("mail-", i)); got.State == claim.Pending && got.Attempt == 1 && got.Turn > 2 {
				id, spared = fmt.Sprint("mail-", i), spared+1
			}
		}
		if spared < tasks/2 {
			t.Fatalf("of %d tasks %d are pending in their first attempt", tasks, spared)
		}
		if got := c.cancel(id); got.After != task.Canceled {
			t.Errorf("canceling one that is spared: %+v", got)
		}
		b.set(false)
		s.await(5 + tasks - 1)
		time.Sleep(2 * time.Minute)
		for i := range tasks {
			want := 1
			if fmt.Sprint("mail-", i) == id {
				want = 0
			}
			if got := succeeded.of(fmt.Sprint("mail-", i)); got != want && i > 4 { // the first ids are those of before, too
				t.Errorf("mail-%d has succeeded %d times, want %d", i, got, want)
			}
		}
		if got := c.look(id); got.State != claim.Canceled {
			t.Errorf("the one that was canceled is %v", got)
		}
		n.halt()
	})
}
