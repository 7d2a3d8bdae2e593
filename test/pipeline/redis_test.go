package pipeline

import (
	"os"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
)

// TestRedisComesBackEmpty: whatever Redis forgets, no task is lost. What is not delivered again does not even run again:
// nodes write anew what they run.
func TestRedisComesBackEmpty(t *testing.T) {
	onlyInFull(t)
	t.Parallel()
	const n = 2500
	f := claimed(t)
	redis := testenv.StartRedis(t)
	f.redis = []string{redis.Addr()}
	f.concurrency = 20
	nodes := f.ready(2)
	f.load(n, 30, 90)
	f.await(n / 4)
	must(t, redis.Kill())
	must(t, os.RemoveAll(redis.DataDir()))
	must(t, os.Mkdir(redis.DataDir(), 0o700))
	must(t, redis.Start())
	f.await(n / 2)
	// What the other gets of it now begins where the commits are, and Redis may not know what was finished above them.
	killed := nodes[0].kill()
	if f.ended() == n {
		t.Fatal("all tasks had ended before the kill: this shows nothing")
	}
	f.await(n)
	f.drained()
	nodes[1].stop()
	f.all(n)
	repeats := 0
	for id, runs := range f.repeats() {
		repeats++
		if len(runs) != 2 || runs[0].pid != nodes[0].pid() || runs[1].pid != nodes[1].pid() || runs[1].at.Before(killed) {
			t.Errorf("%s ran again and was not delivered again: %s", id, story(runs))
		}
	}
	t.Logf("%d of %d tasks ran again", repeats, n)
}

// away is how long Redis stays away: what TASKTIER_TEST_AWAY says, as in 30s, else 10 s.
func away(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("TASKTIER_TEST_AWAY")
	if text == "" {
		return 10 * time.Second
	}
	d, err := time.ParseDuration(text)
	must(t, err)
	return d
}

// TestRedisIsAway: nodes that are to wait start nothing, and go on by themselves when it is back: every task once.
func TestRedisIsAway(t *testing.T) {
	onlyInFull(t)
	t.Parallel()
	const n = 1500
	f := claimed(t)
	redis := testenv.StartRedis(t)
	f.redis = []string{redis.Addr()}
	f.concurrency = 20
	nodes := f.ready(2)
	f.load(n, 30, 90)
	f.await(n / 4)
	must(t, redis.Kill())
	killed := time.Now()
	<-time.After(away(t))
	back := time.Now()
	must(t, redis.Start())
	f.await(n)
	resumed := back.Add(time.Hour)
	for _, runs := range f.runs() {
		if at := runs[0].at; at.After(back) && at.Before(resumed) {
			resumed = at
		}
	}
	nodes[0].stop()
	nodes[1].stop()
	f.onceEach(n)
	// What had been begun may start: it is little, and starts soon.
	if started := f.startedBetween(killed.Add(time.Second), back); started > 0 {
		t.Errorf("%d tasks were started while Redis was away", started)
	}
	took := resumed.Sub(back)
	t.Logf("work went on %s after Redis was started", took)
	if took > 5*time.Second {
		t.Errorf("it took %s to go on", took)
	}
}

// TestRedisIsAwayAndNodesProceed: nodes that are told so do everything without Redis, and start without it.
func TestRedisIsAwayAndNodesProceed(t *testing.T) {
	onlyInFull(t)
	t.Parallel()
	const n = 2000
	f := claimed(t)
	redis := testenv.StartRedis(t)
	f.redis, f.proceed = []string{redis.Addr()}, true
	f.concurrency = 20
	nodes := f.ready(1)
	f.load(n, 10, 30)
	f.await(n / 4)
	must(t, redis.Kill())
	killed := time.Now()
	nodes = append(nodes, f.start())
	f.await(n)
	f.join(nodes[1])
	back := time.Now()
	must(t, redis.Start())
	f.join(nodes...)
	f.drained()
	nodes[0].stop()
	nodes[1].stop()
	f.all(n)
	t.Logf("%d tasks were started while Redis was away, %d ran more than once", f.startedBetween(killed, back), len(f.repeats()))
}

// startedBetween counts runs.
func (f *fleet) startedBetween(from, to time.Time) (n int) {
	f.t.Helper()
	for _, runs := range f.runs() {
		for _, r := range runs {
			if r.at.After(from) && r.at.Before(to) {
				n++
			}
		}
	}
	return n
}
