package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/producer"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

const (
	queue    = "jobs"
	secondly = "* * * * * *"
	slack    = 20 * time.Second // the machine does much else
)

// A bench is what a runner needs: Kafka, etcd, and an election that only the test's runners take part in.
type bench struct {
	t        *testing.T
	prefix   string
	etcd     *clientv3.Client
	members  *coord.Membership
	producer *producer.Producer
	kafka    *kgo.Client
	seen     []*kgo.Record
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, prefix: "/" + testenv.Unique(t)}
	var err error
	b.etcd, err = clientv3.New(clientv3.Config{Endpoints: testenv.Etcd(t), Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(func() { must(t, b.etcd.Close()) })
	b.members, err = coord.New(coord.Config{Client: b.etcd, Prefix: b.prefix, Log: zaptest.NewLogger(t)})
	must(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = b.members.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })

	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, queue+".pending"))
	must(t, err)
	t.Cleanup(cluster.Close)
	b.producer, err = producer.New(producer.Config{Brokers: cluster.ListenAddrs()})
	must(t, err)
	t.Cleanup(func() { must(t, b.producer.Close(context.WithoutCancel(t.Context()))) })
	b.kafka, err = kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(queue+".pending"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	must(t, err)
	t.Cleanup(b.kafka.Close)
	return b
}

func (b *bench) runner(entries ...Entry) *Runner {
	b.t.Helper()
	r, err := New(Config{Queue: queue, Entries: entries, Producer: b.producer, Etcd: b.etcd, Prefix: b.prefix, Log: zaptest.NewLogger(b.t)})
	must(b.t, err)
	return r
}

// lead has a runner lead until the function it returns is called.
func (b *bench) lead(duty coord.Duty) (stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.members.Lead(ctx, Duty(queue), duty) }()
	stop = sync.OnceFunc(func() {
		cancel()
		must(b.t, <-ended)
	})
	b.t.Cleanup(stop)
	return stop
}

// noted waits until etcd has just been told of a tick that comes after so many others: nothing is on its way then.
func (b *bench) noted(name string, n int) {
	b.t.Helper()
	b.await(n)
	before := b.progress()[name].Last
	until(b.t, "etcd is told of the next tick", func() bool { return b.progress()[name].Last.After(before) })
}

// await waits until so many tasks were sent, and returns the ids of all.
func (b *bench) await(n int) []string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), slack)
	defer cancel()
	for len(b.seen) < n {
		fetches := b.kafka.PollFetches(ctx)
		if ctx.Err() != nil {
			b.t.Fatalf("%d tasks were sent, want %d", len(b.seen), n)
		}
		b.seen = append(b.seen, fetches.Records()...)
	}
	return b.ids()
}

func (b *bench) ids() []string {
	var ids []string
	for _, r := range b.seen {
		ids = append(ids, header(r, "ce_id"))
	}
	return ids
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func (b *bench) progress() map[string]Progress {
	b.t.Helper()
	p, err := Read(b.t.Context(), b.etcd, b.prefix, queue)
	must(b.t, err)
	return p
}

func (b *bench) remember(name string, p Progress) {
	b.t.Helper()
	text, err := json.Marshal(p)
	must(b.t, err)
	_, err = b.etcd.Put(b.t.Context(), folder(b.prefix, queue)+name, string(text))
	must(b.t, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(slack); !holds(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", slack, what)
		}
	}
}

// consecutive fails the test unless ids are those of each second, each once.
func consecutive(t *testing.T, name string, ids []string) {
	t.Helper()
	slices.Sort(ids)
	for i, id := range ids {
		tick, err := time.Parse(time.RFC3339, strings.TrimPrefix(id, name+"@"))
		must(t, err)
		if i > 0 && id != fmt.Sprintf("%s@%s", name, tick.Format(time.RFC3339)) {
			t.Errorf("odd id %s", id)
		}
		if i > 0 && ids[i-1] != name+"@"+tick.Add(-time.Second).Format(time.RFC3339) {
			t.Errorf("%s follows %s", id, ids[i-1])
		}
	}
}

func TestEachTickIsSentOnceAcrossLeaders(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entry := Entry{Name: "s", Cron: secondly, Zone: "Europe/Berlin", Type: "job", Data: []byte(`{"x":1}`)}
	first := b.runner(entry)
	stop := b.lead(first.Lead)
	b.noted("s", 2)
	if s := first.Stats(); !s.Leading || s.Sent < 2 || s.Dropped != 0 {
		t.Errorf("stats of the leader: %+v", s)
	}
	stop()
	if s := first.Stats(); s.Leading {
		t.Errorf("stats after: %+v", s)
	}
	gap := time.After(time.Second) // without a leader
	<-gap
	second := b.runner(entry)
	stop = b.lead(second.Lead)
	b.noted("s", 5)
	stop()
	sent := int(first.Stats().Sent + second.Stats().Sent)
	consecutive(t, "s", b.await(sent))

	last := b.progress()["s"]
	if !last.Last.Equal(last.Settled) || "s@"+last.Last.Format(time.RFC3339) != slices.Max(b.ids()) || last.Cron != secondly || last.Zone != "Europe/Berlin" {
		t.Errorf("etcd remembers %+v, the last one sent is %s", last, slices.Max(b.ids()))
	}
	r := b.seen[0]
	if header(r, "ce_source") != Source || header(r, "ce_type") != "job" || string(r.Value) != `{"x":1}` || header(r, "content-type") != "application/json" {
		t.Errorf("the task is %+v", r)
	}
}

// Two leaders at once send the same task IDs for the same ticks, and so does the successor of a leader that died after
// sending and before etcd recorded it. Pitfall 45 of docs/pitfalls.md.
func TestTwoLeadersSendTheSameTasks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	past := make(chan coord.Term, 1)
	stop := b.lead(func(ctx context.Context, term coord.Term) error { past <- term; <-ctx.Done(); return nil })
	ghost := <-past
	stop()
	entry := Entry{Name: "s", Cron: secondly, Type: "job"}
	b.remember("s", Progress{Cron: secondly, Settled: time.Now().Add(-5 * time.Second).Truncate(time.Second)})

	// Its term is over, so it can send and can't write.
	ctx, cancel := context.WithCancel(t.Context())
	var ghosts sync.WaitGroup
	dead := b.runner(entry)
	ghosts.Go(func() { _ = dead.Lead(ctx, ghost) })
	b.await(7)
	live := b.runner(entry)
	stop = b.lead(live.Lead)
	until(t, "the leader sends", func() bool { return live.Stats().Sent >= 8 })
	cancel()
	ghosts.Wait()
	until(t, "the leader goes on", func() bool { return live.Stats().Sent >= dead.Stats().Sent+2 })
	stop()
	ids := b.await(int(dead.Stats().Sent + live.Stats().Sent))
	different := slices.Compact(slices.Sorted(slices.Values(ids)))
	if len(different) != int(live.Stats().Sent) {
		t.Errorf("%d different tasks, of %d that the leader sent and %d of the dead one", len(different), live.Stats().Sent, dead.Stats().Sent)
	}
	consecutive(t, "s", different)
}

func TestANewScheduleStartsNow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	day := time.Now().Add(-24 * time.Hour).Truncate(time.Second).UTC()
	b.remember("changed", Progress{Cron: "@hourly", Settled: day, Last: day})
	b.remember("moved", Progress{Cron: "@every 1h", Zone: "UTC", Settled: day})
	b.remember("same", Progress{Cron: "@every 1h", Settled: day, Last: day})
	_, err := b.etcd.Put(t.Context(), folder(b.prefix, queue)+"broken", "{")
	must(t, err)
	begun := time.Now().Add(-time.Second)
	r := b.runner(
		Entry{Name: "changed", Cron: "@every 1h", Type: "t", Missed: All},
		Entry{Name: "moved", Cron: "@every 1h", Type: "t", Missed: All},
		Entry{Name: "same", Cron: "@every 1h", Type: "t", Missed: All},
		Entry{Name: "broken", Cron: "@every 1h", Type: "t", Missed: All},
		Entry{Name: "new", Cron: "@every 1h", Type: "t", Missed: All},
	)
	b.lead(r.Lead)
	for _, id := range b.await(24) {
		if !strings.HasPrefix(id, "same@") {
			t.Errorf("%s was sent", id)
		}
	}
	until(t, "etcd knows when all began", func() bool {
		p := b.progress()
		for _, name := range []string{"changed", "moved", "broken", "new"} {
			if p[name].Settled.Before(begun) || p[name].Cron != "@every 1h" || p[name].Zone != "" {
				return false
			}
		}
		return p["same"].Last.After(begun.Add(-time.Hour))
	})
	if last := b.progress()["changed"].Last; !last.Equal(day) {
		t.Errorf("when it last ran is forgotten: %s", last)
	}
}

func TestMissedTicks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	now := time.Now().Truncate(time.Second)
	every := "@every 1h"
	if now.Unix()%3600 < 70 || now.Unix()%3600 > 3500 { // keep the tick of the hour out of the grace and of the test
		every = "@every 61m"
	}
	for _, m := range []Missed{Skip, Once, All} {
		b.remember(string(m), Progress{Cron: every, Settled: now.Add(-100 * 24 * time.Hour)})
	}
	r := b.runner(Entry{Name: "skip", Cron: every, Type: "t"}, Entry{Name: "once", Cron: every, Type: "t", Missed: Once}, Entry{Name: "all", Cron: every, Type: "t", Missed: All})
	b.lead(r.Lead)
	b.await(1 + CatchUp)
	until(t, "etcd knows", func() bool { // what was sent is noted after that
		for _, p := range b.progress() {
			if p.Settled.Before(now.Add(-2 * time.Hour)) {
				return false
			}
		}
		return true
	})
	count := map[string]int{}
	for _, id := range b.ids() {
		name, _, _ := strings.Cut(id, "@")
		count[name]++
	}
	if want := map[string]int{"once": 1, "all": CatchUp}; !maps.Equal(count, want) {
		t.Errorf("sent %v, want %v", count, want)
	}
	p := b.progress()
	if !p["skip"].Last.IsZero() || !p["skip"].Settled.Equal(p["all"].Settled) || !p["once"].Last.Equal(p["all"].Last) {
		t.Errorf("etcd remembers %+v", p)
	}
	if s := r.Stats(); s.Dropped != 3 {
		t.Errorf("stats: %+v", s)
	}
}

func TestClockSteps(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var step atomic.Int64
	r := b.runner(Entry{Name: "s", Cron: secondly, Type: "t"})
	r.now = func() time.Time { return time.Now().Add(time.Duration(step.Load())) }
	r.look = 200 * time.Millisecond
	b.lead(r.Lead)
	before := len(b.await(2))
	step.Store(int64(time.Hour))
	ids := b.await(before + 61) // the last minute's, as if the lead had changed hands
	until(t, "the hour is dropped", func() bool { return r.Stats().Dropped == 1 })
	newest := slices.Max(ids)
	step.Store(0)
	quiet := time.After(1500 * time.Millisecond)
	<-quiet
	step.Store(int64(time.Hour)) // an hour has passed
	b.await(before + 63)
	different := slices.Compact(slices.Sorted(slices.Values(b.ids())))
	if len(different) != len(b.ids()) {
		t.Errorf("%d tasks were sent, %d different ones: ticks came twice", len(b.ids()), len(different))
	}
	if slices.Max(different) <= newest {
		t.Error("it does not go on")
	}
}

// One that can't be sent holds up no other.
func TestAScheduleThatFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.runner(Entry{Name: "large", Cron: secondly, Type: "t", Data: []byte(`"` + strings.Repeat("x", 2<<20) + `"`)}, Entry{Name: "s", Cron: secondly, Type: "t"})
	b.lead(r.Lead)
	consecutive(t, "s", b.await(4))
}

func TestWhatIsNotConfiguredIsForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.remember("gone", Progress{Cron: secondly, Settled: time.Now()})
	other := folder(b.prefix, queue+".b") + "x"
	_, err := b.etcd.Put(t.Context(), other, "{}")
	must(t, err)
	b.lead(b.runner(Entry{Name: "stays", Cron: "@daily", Type: "t"}).Lead)
	until(t, "gone is forgotten, stays is known", func() bool {
		p := b.progress()
		_, gone := p["gone"]
		_, stays := p["stays"]
		return !gone && stays
	})
	reply, err := b.etcd.Get(t.Context(), other)
	must(t, err)
	if reply.Count != 1 {
		t.Error("another queue's is forgotten too")
	}
}

func TestConfigThatCannotBe(t *testing.T) {
	b := newBench(t)
	for says, cfg := range map[string]Config{
		"no queue":              {Producer: b.producer, Etcd: b.etcd},
		"no producer":           {Queue: queue, Etcd: b.etcd},
		"no name":               {Queue: queue, Producer: b.producer, Etcd: b.etcd, Entries: []Entry{{Cron: "@daily", Type: "t"}}},
		"no type":               {Queue: queue, Producer: b.producer, Etcd: b.etcd, Entries: []Entry{{Name: "n", Cron: "@daily"}}},
		`"n": read cron`:        {Queue: queue, Producer: b.producer, Etcd: b.etcd, Entries: []Entry{{Name: "n", Type: "t", Cron: "daily"}}},
		"use skip, once or all": {Queue: queue, Producer: b.producer, Etcd: b.etcd, Entries: []Entry{{Name: "n", Cron: "@daily", Type: "t", Missed: "some"}}},
		"two of that name":      {Queue: queue, Producer: b.producer, Etcd: b.etcd, Entries: []Entry{{Name: "n", Cron: "@daily", Type: "t"}, {Name: "n", Cron: "@daily", Type: "t"}}},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want an error with %q", err, says)
		}
	}
}
