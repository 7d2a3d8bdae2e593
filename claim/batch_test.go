package claim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
)

// A bench is a batcher and what it did.
type bench struct {
	*batcher
	calls    [][]*op
	answered []*op
	errs     []error
	failures int
	worked   int
	ended    chan struct{}
}

// work runs a batcher with one goroutine until stop. It is for bubbles of synctest.
func work(ctx context.Context, call func(ctx context.Context, n int, ops []*op) error, giveUp bool) *bench {
	w := &bench{ended: make(chan struct{})}
	w.batcher = newBatcher(
		func(ctx context.Context, ops []*op) error {
			w.calls = append(w.calls, slices.Clone(ops))
			return call(ctx, len(w.calls), ops)
		},
		func(error) bool { w.failures++; return giveUp },
		func() { w.worked++ },
		func() {},
	)
	go func() {
		defer close(w.ended)
		w.run(ctx)
	}()
	return w
}

func (w *bench) ops(n int) []*op {
	ops := make([]*op, n)
	for i := range ops {
		ops[i] = &op{answered: func(o *op, err error) {
			w.answered = append(w.answered, o)
			w.errs = append(w.errs, err)
		}}
	}
	return ops
}

func (w *bench) end() {
	w.stop()
	<-w.ended
}

func TestBatchesFormWhileACallIsInFlight(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		w := work(t.Context(), func(context.Context, int, []*op) error { <-gate; return nil }, false)
		start := time.Now()
		all := w.ops(1 + 2*maxBatch + 3)
		w.add(all[0])
		synctest.Wait()
		if len(w.calls) != 1 {
			t.Fatal("the first operation waits for others")
		}
		for _, o := range all[1:] {
			w.add(o)
		}
		close(gate)
		synctest.Wait()
		var sizes []int
		for _, c := range w.calls {
			sizes = append(sizes, len(c))
		}
		if want := []int{1, maxBatch, maxBatch, 3}; !slices.Equal(sizes, want) {
			t.Errorf("calls of %v, want %v", sizes, want)
		}
		if !slices.Equal(w.answered, all) {
			t.Error("the answers are in another order")
		}
		if time.Since(start) != 0 {
			t.Errorf("it took %v: there is a timer", time.Since(start))
		}
		w.end()
	})
}

func TestCallIsRepeatedUntilItIsAnswered(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		away := errors.New("away")
		w := work(t.Context(), func(_ context.Context, n int, _ []*op) error {
			if n <= 10 {
				return away
			}
			return nil
		}, false)
		start := time.Now()
		all := w.ops(3)
		w.add(all...)
		w.end()
		if len(w.calls) != 11 || w.failures != 10 || w.worked != 1 {
			t.Errorf("%d calls, %d failures, %d successes", len(w.calls), w.failures, w.worked)
		}
		if !slices.Equal(w.answered, all) || errors.Join(w.errs...) != nil {
			t.Errorf("%d answers, %v", len(w.answered), w.errs)
		}
		// Soon at first, and never so often that it hurts: 20, 40, … 640 ms, and 1 s from there on.
		if took, want := time.Since(start), 1260*time.Millisecond+4*time.Second; took != want {
			t.Errorf("it took %v, want %v", took, want)
		}
	})
}

func TestACallThatHangsIsRepeated(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := work(t.Context(), func(ctx context.Context, n int, _ []*op) error {
			if n == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}, false)
		start := time.Now()
		answered := make(chan struct{})
		w.add(&op{answered: func(_ *op, err error) {
			if err != nil {
				t.Error(err)
			}
			close(answered)
		}})
		<-answered
		if took := time.Since(start); took != callPatience+minPause {
			t.Errorf("it took %v, want %v", took, callPatience+minPause)
		}
		w.end()
	})
}

func TestToGiveUpAnswersAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		away := errors.New("away")
		w := work(t.Context(), func(context.Context, int, []*op) error { return away }, true)
		w.add(w.ops(2)...)
		synctest.Wait()
		if len(w.calls) != 1 || !slices.Equal(w.errs, []error{away, away}) {
			t.Errorf("%d calls, %v", len(w.calls), w.errs)
		}
		w.end()
	})
}

func TestStopAnswersEverything(t *testing.T) {
	t.Run("what waits, and what follows from it", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			w := work(t.Context(), func(context.Context, int, []*op) error { <-gate; return nil }, false)
			all := w.ops(maxBatch + 2)
			last := w.ops(1)[0]
			tell := all[maxBatch].answered
			all[maxBatch].answered = func(o *op, err error) {
				w.add(last) // as a result does that Redis has something to say about
				tell(o, err)
			}
			w.add(all...)
			synctest.Wait()
			w.stop()
			close(gate)
			<-w.ended
			if len(w.answered) != len(all)+1 || w.answered[len(all)] != last || errors.Join(w.errs...) != nil {
				t.Errorf("%d of %d are answered, %v", len(w.answered), len(all)+1, errors.Join(w.errs...))
			}
			w.add(w.ops(1)...)
			if n := len(w.errs); n != len(all)+2 || w.errs[n-1] != errStopped {
				t.Errorf("afterwards: %v", w.errs[len(w.errs)-1])
			}
		})
	})
	t.Run("also without Redis, when it is given up", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			ctx, giveUp := context.WithCancel(t.Context())
			w := work(ctx, func(ctx context.Context, _ int, _ []*op) error { <-ctx.Done(); return ctx.Err() }, false)
			w.add(w.ops(2*maxBatch + 1)...)
			synctest.Wait()
			w.stop()
			<-time.After(time.Minute)
			synctest.Wait()
			if len(w.answered) != 0 {
				t.Errorf("%d are answered without Redis", len(w.answered))
			}
			giveUp()
			<-w.ended
			if len(w.errs) != 2*maxBatch+1 || !slices.ContainsFunc(w.errs, func(err error) bool { return err == context.Canceled }) || slices.Contains(w.errs, nil) {
				t.Errorf("%d are answered", len(w.errs))
			}
		})
	})
}

// Two calls are in flight at once, also when what waits came all together.
func TestTwoCallsInFlight(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var flying, most atomic.Int32
		b := newBatcher(func(context.Context, []*op) error {
			most.Store(max(most.Load(), flying.Add(1)))
			<-gate
			flying.Add(-1)
			return nil
		}, func(error) bool { return false }, func() {}, func() {})
		var runs sync.WaitGroup
		for range inFlight {
			runs.Go(func() { b.run(t.Context()) })
		}
		synctest.Wait()
		ops := make([]*op, 4*maxBatch)
		for i := range ops {
			ops[i] = &op{answered: func(*op, error) {}}
		}
		b.add(ops...)
		synctest.Wait()
		if most.Load() != inFlight {
			t.Errorf("%d calls in flight, want %d", most.Load(), inFlight)
		}
		close(gate)
		b.stop()
		runs.Wait()
	})
}

// A gate is a hook that keeps scripts from being called while it is closed.
type gate struct{ open chan struct{} }

func (g gate) DialHook(next redis.DialHook) redis.DialHook { return next }
func (g gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (g gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if name := cmd.Name(); name == "evalsha" || name == "eval" {
			<-g.open
		}
		return next(ctx, cmd)
	}
}

func TestManyHoldsFewCalls(t *testing.T) {
	s := onMiniredis(t)
	closed := gate{make(chan struct{})}
	s.client.AddHook(closed)
	node := start(t, s, &registry{}, me)
	holds := make([]*Hold, 2000)
	var begins sync.WaitGroup
	for i := range holds {
		holds[i] = hold(fmt.Sprint(i), 0, 1, 1)
		begins.Go(func() { node.Begin(holds[i]) })
	}
	begins.Wait()
	close(closed.open)
	for _, h := range holds {
		if v := node.verdict(h); v != Run {
			t.Fatalf("%s, want run", v)
		}
	}
	// Two were in flight meanwhile, and the rest goes in full batches.
	if calls := s.Calls(); calls > inFlight+2000/maxBatch {
		t.Errorf("%d calls for %d holds", calls, len(holds))
	}
	if st := node.Stats(); st.Run != 2000 || st.Calls != s.Calls() {
		t.Errorf("%+v", st)
	}
}

// Decisions are told once each, those of a call together and in the order of the begin.
func TestDecisionsComeTogetherInOrder(t *testing.T) {
	s := onMiniredis(t)
	told := make(chan []Decision, 1000)
	node := start(t, s, &registry{}, me, func(c *Config) {
		c.Decided = func(list []Decision) { told <- list }
	})
	holds := make([]*Hold, maxBatch)
	for i := range holds {
		holds[i] = hold(fmt.Sprint(i), 0, 1, 1)
		if i%3 == 0 {
			put(t, s, holds[i], at(Succeeded, 0, 1).String())
		}
	}
	node.Begin(holds...)
	list := await(t, told)
	if len(list) != len(holds) {
		t.Fatalf("%d decisions came together, want %d", len(list), len(holds))
	}
	for i, d := range list {
		if want := map[bool]Verdict{true: Done, false: Run}[i%3 == 0]; d.Hold != holds[i] || d.Verdict != want {
			t.Fatalf("decision %d: %s of %s, want %s", i, d.Verdict, d.Hold.Task.ID, want)
		}
	}
	node.stop()
	none(t, told)
}

// A result that Redis has something to say about is written also when the book is being closed.
func TestCloseWritesResults(t *testing.T) {
	s := onMiniredis(t)
	node := start(t, s, &registry{}, me)
	holds := make([]*Hold, 20)
	for i := range holds {
		holds[i] = node.won(hold(fmt.Sprint(i), 0, 1, 1))
		if _, err := s.Cancel(t.Context(), holds[i].identity(), Window{}); err != nil {
			t.Fatal(err)
		}
	}
	closed := gate{make(chan struct{})}
	s.client.AddHook(closed)
	results := make(chan Result, len(holds))
	for _, h := range holds {
		node.Finish(h, Outcome{State: Succeeded}, func(r Result) { results <- r })
	}
	go close(closed.open)
	node.stop()
	for range holds {
		mustWrite(t, await(t, results))
	}
	for _, h := range holds {
		if _, c := stored(t, s, h); c.State != Succeeded {
			t.Errorf("the claim is %q", c)
		}
	}
}

// A verdict that takes a second call is told then, too.
func TestCloseTellsVerdicts(t *testing.T) {
	s := onMiniredis(t)
	closed := gate{make(chan struct{})}
	s.client.AddHook(closed)
	node := start(t, s, &registry{}, me)
	h := hold("canceled", 0, 1, 1)
	put(t, s, h, mine(at(Running, 0, 1)).with(CancelAsked).String())
	node.Begin(h)
	go func() {
		defer close(closed.open)
		eventually(t, "the book is being closed", func() bool {
			node.begins.mu.Lock()
			defer node.begins.mu.Unlock()
			return node.begins.stopped
		})
	}()
	node.stop()
	if v := node.verdict(h); v != Done {
		t.Errorf("%s, want done", v)
	}
}

// Turns that are begun together share what they have in common, and nothing else.
func TestNeighboursInABatch(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		node := start(t, s, &registry{}, me)
		var holds []*Hold
		for i := range 60 {
			h := hold(fmt.Sprint(i), 0, 1, 1)
			switch i % 6 {
			case 1:
				h.Task.Queue = "other"
			case 2:
				h.Task.Type = "other"
			case 3:
				h.Task.Turn = 2
			case 4:
				h.Task.Attempt = 3
			case 5:
				h.Task.Generation = 1
			}
			holds = append(holds, h)
		}
		check := func(state State) {
			t.Helper()
			for _, h := range holds {
				k := h.Task
				want := Claim{State: state, Generation: k.Generation, Turn: k.Turn, Attempt: k.Attempt, Owner: me, Fence: h.Fence(), Type: k.Type}
				_, got := stored(t, s, h)
				if want.At = got.At; got != want {
					t.Errorf("%s: %q, want %q", k.ID, got, want)
				}
			}
		}
		node.Begin(holds...)
		for _, h := range holds {
			if v := node.verdict(h); v != Run {
				t.Fatal(v)
			}
		}
		check(Running)
		results := make(chan Result, len(holds))
		for _, h := range holds {
			node.Finish(h, Outcome{State: Succeeded}, func(r Result) { results <- r })
		}
		for range holds {
			mustWrite(t, await(t, results))
		}
		check(Succeeded)
		list, err := s.Counts(t.Context(), time.Hour)
		must(t, err)
		got := map[string]int64{}
		for _, c := range list {
			got[c.Queue+"/"+c.Type+"/"+c.Outcome] += c.Tasks
		}
		for field, n := range map[string]int64{"q/mail send/succeeded": 40, "other/mail send/succeeded": 10, "q/other/succeeded": 10} {
			if got[field] != n {
				t.Errorf("%d are counted as %s, want %d: %v", got[field], field, n, got)
			}
		}
	})
}
