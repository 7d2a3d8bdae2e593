package consumer

import (
	"testing"
	"time"

	"github.com/tasktier/tasktier/task"
	"pgregory.net/rapid"
)

// A bench is a breaker with a clock, whose dice always fall on one half.
type bench struct {
	*breaker
	now     time.Duration
	changes []change
}

func newBench() *bench {
	b := &bench{now: time.Hour}
	b.breaker = newBreaker(defaultBreaker, func() float64 { return 0.5 }, func(c change) { b.changes = append(b.changes, c) })
	return b
}

func (b *bench) enterAs(task uint64) (permit, time.Duration) {
	if p, ok := b.free(); ok {
		return p, 0
	}
	return b.enter(b.now, task)
}

// attempts runs n attempts of different tasks, a step apart, that all end so.
func (b *bench) attempts(n int, step time.Duration, s sign) {
	for i := range n {
		p, wait := b.enterAs(uint64(1 + i))
		if wait == 0 {
			b.leave(b.now, p, uint64(1+i), s)
		}
		b.now += step
	}
}

// outage is a bench whose breaker has just opened.
func outage(t *testing.T) *bench {
	t.Helper()
	b := newBench()
	b.attempts(1, 0, works)
	b.now += 10 * time.Hour
	b.attempts(20, 0, fails)
	b.is(t, BreakerOpen)
	return b
}

func (b *bench) is(t *testing.T, want BreakerState) {
	t.Helper()
	if got := b.stats().State; got != want {
		t.Fatalf("at %v it is in state %d, want %d", b.now, got, want)
	}
}

// probe waits until a task is let through.
func (b *bench) probe(t *testing.T, task uint64) (permit, time.Duration) {
	t.Helper()
	for waited := time.Duration(0); waited < 2*maxSpare; waited += 100 * time.Millisecond {
		if p, wait := b.enterAs(task); wait == 0 {
			return p, waited
		}
		b.now += 100 * time.Millisecond
	}
	t.Fatalf("task %d is not let through", task)
	return permit{}, 0
}

func TestBreakerOpens(t *testing.T) {
	type run struct {
		n    int
		step time.Duration
		end  sign
	}
	const ms = time.Millisecond
	tests := []struct {
		name  string
		runs  []run
		opens bool
	}{
		{"19 of 20 fail", []run{{1, 0, works}, {19, ms, fails}}, true},
		{"18 of 19 fail", []run{{1, 0, works}, {18, ms, fails}}, false},
		{"18 of 20 fail", []run{{2, 0, works}, {18, ms, fails}}, false},
		{"all fail, but too slowly", []run{{1, 0, works}, {100, 600 * ms, fails}}, false},
		{"as many fail within the window as must", []run{{1, 0, works}, {20, 500 * ms, fails}}, true},
		{"one in five succeeds", []run{{5, ms, works}, {20, ms, fails}, {5, ms, works}, {20, ms, fails}, {5, ms, works}, {20, ms, fails}}, false},
		{"thousands succeed just before", []run{{5000, ms, works}, {38, ms, fails}}, true},
		{"thousands succeed just before, and too few fail", []run{{5000, ms, works}, {37, ms, fails}}, false},
		{"successes of long ago count until the window is over", []run{{5000, ms, works}, {1, 11 * time.Second, fails}, {20, ms, fails}}, true},
		{"it has never worked", []run{{100, ms, fails}}, false},
		{"it has never worked, and there is no connection", []run{{20, ms, away}}, true},
		{"it has never worked, and some make no connection", []run{{30, ms, fails}, {30, ms, away}}, false},
		{"permanent failures and snoozes", []run{{1, 0, works}, {500, ms, silent}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench()
			if tt.runs[0].end == works {
				b.know(b.now - time.Minute)
			}
			for _, r := range tt.runs {
				b.attempts(r.n, r.step, r.end)
			}
			if got := b.stats().State == BreakerOpen; got != tt.opens {
				t.Errorf("open: %v, want %v", got, tt.opens)
			}
			if want := len(b.changes) == 1; want != tt.opens {
				t.Errorf("told %+v", b.changes)
			}
		})
	}
}

// A task that fails again and again counts once a window: 18 are no 20 attempts.
func TestBreakerCountsATaskOnce(t *testing.T) {
	b := newBench()
	b.attempts(1, 0, works)
	for range 1000 {
		for task := uint64(1); task < 19; task++ {
			p, _ := b.enterAs(task)
			b.leave(b.now, p, task, fails)
		}
		b.now += 50 * time.Millisecond
	}
	b.is(t, BreakerClosed)
}

// Half of all attempts fail, for a day, in any order and at any pace.
func TestBreakerStaysClosedAtHalf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench()
		step := time.Duration(rapid.Int64Range(1, int64(time.Second)).Draw(t, "step"))
		task := uint64(0)
		for range 100 {
			// Of each hundred half fail, in an order that is drawn.
			for _, bad := range rapid.Permutation(append(make([]bool, 10), true, true, true, true, true, true, true, true, true, true)).Draw(t, "order") {
				task++
				p, wait := b.enterAs(task)
				if wait > 0 {
					t.Fatal("it has opened")
				}
				s := works
				if bad {
					s = fails
				}
				b.leave(b.now, p, task, s)
				b.now += step
			}
		}
	})
}

// Probes come one at a time, each after about twice the time of the one before, up to half a minute.
func TestBreakerProbes(t *testing.T) {
	b := outage(t)
	want := []time.Duration{1, 2, 4, 8, 16, 30, 30, 30}
	for i, want := range want {
		p, waited := b.probe(t, uint64(100+i))
		want *= time.Second
		if waited < want/2 || waited > want+100*time.Millisecond {
			t.Errorf("probe %d comes after %v, want it within %v", i, waited, want)
		}
		if !p.trial {
			t.Fatal("it is no trial")
		}
		if _, wait := b.enterAs(999); wait == 0 {
			t.Fatal("two probes at a time")
		}
		if wait := b.leave(b.now, p, uint64(100+i), fails); wait < minSpare/2 || wait > maxSpare {
			t.Errorf("the probe is put off for %v", wait)
		}
	}
	if got := b.stats(); got.Trials != uint64(len(want)) || got.Openings != 1 || len(b.changes) != 1 {
		t.Errorf("%+v, told %+v", got, b.changes)
	}
}

// What is put off comes back after half of the outage so far, within 1 s and 1 min, and not all at once.
func TestBreakerSparesForLongerAndLonger(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{
		0: time.Second, 2 * time.Second: time.Second, 40 * time.Second: 20 * time.Second, 2 * time.Minute: time.Minute, 10 * time.Hour: time.Minute,
	} {
		b := outage(t)
		if after >= minPause {
			b.now += 900 * time.Millisecond
			if p, wait := b.enterAs(1); !p.trial || wait != 0 { // it hangs
				t.Fatal("no probe")
			}
		}
		b.patience = 100 * time.Hour
		b.now = b.opened + after
		for draw, part := range map[float64]float64{0: 0.5, 0.5: 0.75, 0.999999999: 1} {
			b.draw = func() float64 { return draw }
			_, wait := b.enterAs(7)
			if got := time.Duration(part * float64(want)); (wait - got).Abs() > time.Millisecond {
				t.Errorf("after %v, at %v: put off for %v, want %v", after, draw, wait, got)
			}
		}
	}
}

// After a probe that succeeds 2 trials are let through at a time, then 4, 8 and 10; 10 successes close it.
func TestBreakerCloses(t *testing.T) {
	b := outage(t)
	p, _ := b.probe(t, 1)
	b.leave(b.now, p, 1, works)
	b.is(t, BreakerHalfOpen)
	succeeded := 1
	for _, want := range []int{2, 4, 8, 10} {
		var trials []permit
		for {
			p, wait := b.enterAs(2)
			if wait > 0 {
				if wait > halfSpare {
					t.Errorf("put off for %v while it is half open", wait)
				}
				break
			}
			trials = append(trials, p)
		}
		if len(trials) != want {
			t.Fatalf("%d trials at a time after %d successes, want %d", len(trials), succeeded, want)
		}
		for i, p := range trials {
			s := silent // which leads nowhere
			if i == 0 {
				s, succeeded = works, succeeded+1
			}
			b.leave(b.now, p, 2, s)
		}
	}
	for ; succeeded < closeAfter; succeeded++ {
		b.is(t, BreakerHalfOpen)
		p, _ := b.enterAs(2)
		b.leave(b.now, p, 2, works)
	}
	b.is(t, BreakerClosed)
	last := b.changes[len(b.changes)-1]
	if last.state != BreakerClosed || last.gaveUp || last.tried == 0 || last.spared == 0 || last.lasted <= 0 {
		t.Errorf("told %+v", last)
	}
	b.attempts(19, 0, fails)
	b.is(t, BreakerClosed) // of before it knows nothing
}

// Some failures while it is half open are forgiven; where nothing follows a success it opens again, and is still the same
// outage.
func TestBreakerOpensAgain(t *testing.T) {
	b := outage(t)
	b.now += 20 * time.Minute
	p, _ := b.probe(t, 1)
	b.leave(b.now, p, 1, works)
	failed := 0
	for task := uint64(10); b.stats().State == BreakerHalfOpen; task++ {
		p, wait := b.enterAs(task)
		if wait > 0 {
			t.Fatal("no trial is let through")
		}
		b.leave(b.now, p, task, fails)
		failed++
	}
	if failed != 5 {
		t.Errorf("it opens again after %d failures", failed)
	}
	if _, wait := b.enterAs(50); wait == 0 || wait > minSpare {
		t.Errorf("after a success tasks are put off for %v", wait)
	}
	if got := b.stats().Openings; got != 1 {
		t.Errorf("%d openings", got)
	}
	// And one half of which fails closes.
	p, _ = b.probe(t, 60)
	b.leave(b.now, p, 60, works)
	for task := uint64(70); b.stats().State == BreakerHalfOpen; task++ {
		p, _ := b.enterAs(task)
		s := works
		if task%2 == 0 {
			s = fails
		}
		b.leave(b.now, p, task, s)
	}
	b.is(t, BreakerClosed)
}

// A task whose trial failed gives way to others, and is tried again where there are none, or they don't come.
func TestBreakerTriesAnother(t *testing.T) {
	b := outage(t)
	p, _ := b.probe(t, 1)
	b.leave(b.now, p, 1, fails)
	p, waited := b.probe(t, 1)
	if waited > 3*time.Second {
		t.Errorf("the only task there is waits %v", waited)
	}
	b.leave(b.now, p, 1, fails)
	b.enterAs(2) // is there
	b.now = b.probeAt
	if _, wait := b.enterAs(1); wait == 0 {
		t.Fatal("it is tried again while another waits")
	}
	if _, wait := b.enterAs(2); wait > 0 {
		t.Fatal("the other is not tried")
	}
	b = outage(t)
	p, _ = b.probe(t, 1)
	b.enterAs(2) // the trial is still at work
	b.leave(b.now, p, 1, fails)
	b.enterAs(2)
	due := b.probeAt
	if b.probe(t, 1); b.now < due+maxSpare {
		t.Errorf("it is tried %v after its time, and the other may still come", b.now-due)
	}
}

// A trial that says nothing of its type is followed by another, in a second.
func TestBreakerSilentTrial(t *testing.T) {
	b := outage(t)
	for task := uint64(1); task < 10; task++ {
		p, waited := b.probe(t, task)
		if waited > time.Second {
			t.Fatalf("trial %d comes after %v", task, waited)
		}
		b.leave(b.now, p, task, silent)
		b.is(t, BreakerOpen)
	}
}

// A trial that hangs keeps others from starting for half a minute, the next for a minute, and so on. If it comes to an end
// after all, that counts.
func TestBreakerHangingTrial(t *testing.T) {
	b := outage(t)
	first, _ := b.probe(t, 1)
	for _, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute} {
		began := b.now
		for {
			if _, wait := b.enterAs(2); wait == 0 {
				break
			}
			b.now += time.Second
		}
		if got := b.now - began; got < want || got > want+time.Second {
			t.Fatalf("the next trial comes after %v, want %v", got, want)
		}
	}
	b.leave(b.now, first, 1, works)
	b.is(t, BreakerHalfOpen)
	if b.trials != 1 {
		t.Errorf("%d trials are waited for, want the last one", b.trials)
	}
}

// What began before an opening or a closing says nothing of the time after it.
func TestBreakerOldAttempts(t *testing.T) {
	b := newBench()
	b.attempts(1, 0, works)
	b.now += time.Hour
	var old []permit
	for range 100 {
		p, _ := b.enterAs(1)
		old = append(old, p)
	}
	b.attempts(20, 0, fails)
	b.is(t, BreakerOpen)
	b.leave(b.now, old[0], 500, works)
	b.is(t, BreakerOpen)
	hung, _ := b.probe(t, 1)
	b.now += time.Minute
	for b.stats().State != BreakerClosed {
		p, _ := b.probe(t, 2)
		b.leave(b.now, p, 2, works)
	}
	for i, p := range old[1:] {
		b.leave(b.now, p, uint64(600+i), fails)
	}
	if wait := b.leave(b.now, hung, 1, fails); wait == 0 {
		t.Error("a trial that fails late is not put off")
	}
	b.is(t, BreakerClosed)
}

// A type that has worked for less than a window may be of tasks that fail at first.
func TestBreakerTrustsNoBeginner(t *testing.T) {
	for worked, opens := range map[time.Duration]bool{0: false, 9 * time.Second: false, 10 * time.Second: true} {
		b := newBench()
		b.attempts(1, 0, works)
		b.now += worked
		b.attempts(60, time.Nanosecond, fails)
		if got := b.stats().State == BreakerOpen; got != opens {
			t.Errorf("it has worked for %v: open is %v", worked, got)
		}
	}
}

// An outage is believed for ten times as long as the type has worked before it, a day at most, and where there is no
// connection for a day. Then attempts count again, and it does not open before the type has worked.
func TestBreakerGivesUp(t *testing.T) {
	tests := []struct {
		worked time.Duration
		end    sign
		limit  time.Duration
	}{
		{10 * time.Second, fails, 100 * time.Second},
		{time.Minute, fails, 10 * time.Minute},
		{100 * time.Hour, fails, 24 * time.Hour},
		{0, away, 24 * time.Hour},
	}
	for _, tt := range tests {
		b := newBench()
		for range 2 {
			b.attempts(1, 0, works)
			b.now += tt.worked
			b.attempts(21, 0, tt.end)
			b.is(t, BreakerOpen)
			for began := b.now; b.stats().State == BreakerOpen; b.now += tt.limit / 100 {
				p, wait := b.enterAs(1)
				if b.now-began > tt.limit {
					t.Fatalf("worked for %v: open for %v, want %v", tt.worked, b.now-began, tt.limit)
				}
				if wait == 0 && p.trial {
					b.leave(b.now, p, 1, tt.end)
				}
				if over := b.stats().State == BreakerClosed; over && b.now-began < tt.limit {
					t.Fatalf("worked for %v: given up after %v, want %v", tt.worked, b.now-began, tt.limit)
				}
			}
			if last := b.changes[len(b.changes)-1]; !last.gaveUp {
				t.Errorf("told %+v", last)
			}
			b.attempts(500, time.Millisecond, tt.end)
			b.is(t, BreakerClosed)
			b.now += time.Hour
		}
	}
}

// A trial that fails comes back when its handler said, if that is later, and uses no attempt, not even the last one.
func TestTrialThatFails(t *testing.T) {
	c := &Consumer{born: time.Now(), breakers: newBreakers()}
	tn := &turn{task: task.Task{ID: "1", Source: "/s", Attempt: 3}}
	for _, tt := range []struct {
		o           outcome
		least, most time.Duration
	}{
		{outcome{kind: retries, err: task.RetryAfter(time.Hour, errExited)}, time.Hour, time.Hour},
		{outcome{kind: retries, delay: 6 * time.Hour, err: errExited}, minSpare / 2, maxSpare},
		{outcome{kind: dies, reason: task.ReasonExhausted, err: errExited}, minSpare / 2, maxSpare},
	} {
		got := c.tried(outage(t).breaker, permit{trial: true}, tn, tt.o)
		if got.kind != snoozes || got.delay < tt.least || got.delay > tt.most || got.note != errExited.Error() {
			t.Errorf("%+v becomes %+v", tt.o, got)
		}
	}
}

// Whatever happens: what is put off is put off for half a second to a minute, few trials run that have not hung, memory is
// bounded, and once all succeeds it closes.
func TestBreakerRandomly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench()
		type attempt struct {
			p     permit
			task  uint64
			began time.Duration
		}
		var atWork []attempt
		end := func(i int, s sign) {
			a := atWork[i]
			atWork = append(atWork[:i], atWork[i+1:]...)
			if wait := b.leave(b.now, a.p, a.task, s); a.p.trial && s >= fails && (wait < minSpare/2 || wait > maxSpare) {
				t.Fatalf("a trial that failed is put off for %v", wait)
			}
		}
		start := func(task uint64) {
			p, wait := b.enterAs(task)
			if wait == 0 {
				atWork = append(atWork, attempt{p, task, b.now})
			} else if wait < minSpare/2 || wait > maxSpare {
				t.Fatalf("put off for %v", wait)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"start": func(t *rapid.T) { start(rapid.Uint64Range(1, 200).Draw(t, "task")) },
			"a lot fails": func(t *rapid.T) {
				for range 30 {
					start(rapid.Uint64Range(1, 200).Draw(t, "task"))
				}
				for len(atWork) > 0 {
					end(0, fails)
				}
			},
			"end": func(t *rapid.T) {
				if len(atWork) > 0 {
					end(rapid.IntRange(0, len(atWork)-1).Draw(t, "which"), rapid.SampledFrom([]sign{silent, works, fails, away}).Draw(t, "how"))
				}
			},
			"time": func(t *rapid.T) {
				b.now += time.Duration(rapid.Int64Range(0, int64(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 25 * time.Hour}).Draw(t, "scale"))).Draw(t, "step"))
			},
			"": func(t *rapid.T) {
				if cap(b.recent) != samplesPerMin*b.cfg.MinAttempts {
					t.Fatalf("it keeps %d samples", cap(b.recent))
				}
				young := 0
				for _, a := range atWork {
					if a.p.trial && a.p.era == b.era.Load() && b.now-a.began < minPatience {
						young++
					}
				}
				if most := 2 * closeAfter; young > most {
					t.Fatalf("%d trials run, want at most %d", young, most)
				}
				if b.trials < 0 || b.trials > b.allowed+closeAfter {
					t.Fatalf("%d trials are counted, %d allowed", b.trials, b.allowed)
				}
			},
		})
		for limit := b.now + 3*time.Minute; b.stats().State != BreakerClosed; b.now += time.Second {
			for len(atWork) > 0 {
				end(0, works)
			}
			if b.now > limit {
				t.Fatal("all succeeds, and it does not close")
			}
			start(uint64(1000 + b.now))
		}
	})
}
