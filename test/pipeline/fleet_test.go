package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
	"github.com/tasktier/tasktier/test/internal/child"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A fleet is the nodes of a test, which consume a queue of their own, and the journal that their handlers write.
type fleet struct {
	t       *testing.T
	brokers []string
	queue   string
	dir     string
	journal journal

	// What the nodes are told, beside what is always the same. Without redis they have no claims.
	redis, etcd []string
	cluster     bool
	proceed     bool
	concurrency int
	ttl         time.Duration
	schedules   string // YAML; "" for none
	types       string // likewise

	started  int
	alive    []*process // that nobody has told to end
	deadly   bool       // tasks take nodes down
	producer *producer.Producer
}

func newFleet(t *testing.T, brokers []string) *fleet {
	t.Helper()
	dir, err := os.MkdirTemp("", "tasktier-fleet-") //nolint:usetesting // it stays when the test has failed
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the journal, and the logs of the nodes: %s", dir)
		} else {
			must(t, os.RemoveAll(dir))
		}
	})
	return &fleet{
		t: t, brokers: brokers, queue: strings.ToLower(testenv.Unique(t)), dir: dir,
		journal: journal{path: filepath.Join(dir, "journal")}, concurrency: 100, ttl: 10 * time.Second,
	}
}

// claimed is a fleet on the shared servers that does every task once, and whose dead are missed soon.
func claimed(t *testing.T) *fleet {
	t.Helper()
	f := newFleet(t, testenv.Kafka(t))
	f.redis, f.etcd = []string{testenv.Redis(t)}, testenv.Etcd(t)
	f.ttl = shortTTL
	return f
}

// shortTTL is the lease of nodes whose silence is to be noticed. Kafka's brokers take no shorter one for their groups, by
// default, so it is the shortest for which there is a promise.
const shortTTL = 6 * time.Second

// config is that of the nodes of this fleet. It is written once: a node may be about to read it.
func (f *fleet) config() string {
	f.t.Helper()
	path := filepath.Join(f.dir, "tasktier.yaml")
	if f.started > 0 {
		return path
	}
	// Prefixes of its own: fleets that share servers are not one installation, whose nodes would wait for each other.
	text := fmt.Sprintf("kafka: {brokers: [%s], prefix: %s}\nnode: {http: \"\", drain: 20s, concurrency: %d, lease_ttl: %s}\nqueues:\n  %s: {partitions: %d}\n",
		strings.Join(f.brokers, ", "), f.queue, f.concurrency, f.ttl, f.queue, partitions)
	if f.redis != nil {
		away := "wait"
		if f.proceed {
			away = "proceed"
		}
		text += fmt.Sprintf("redis: {addresses: [%s], cluster: %t, when_away: %s}\n", strings.Join(f.redis, ", "), f.cluster, away)
	}
	if f.etcd != nil {
		text += fmt.Sprintf("etcd: {endpoints: [%s], prefix: /%s}\n", strings.Join(f.etcd, ", "), f.queue)
	}
	if f.schedules != "" {
		text += "schedules:\n" + f.schedules
	}
	if f.types != "" {
		text += "types:\n" + f.types
	}
	must(f.t, os.WriteFile(path, []byte(text), 0o600))
	coordinated(f.t, f.brokers, names.Group(f.queue, f.queue), names.RetryGroup(f.queue))
	return path
}

// coordinated waits until Kafka answers for consumer groups: one that has just started makes the topic of its offsets at the
// first question, and a node that has no answer at its start ends.
func coordinated(t *testing.T, brokers []string, groups ...string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	must(t, err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, group := range groups {
		for {
			_, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
			if err == nil || errors.Is(err, kerr.GroupIDNotFound) {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("Kafka does not answer for the group %s: %v", group, err)
			}
			<-time.After(20 * time.Millisecond)
		}
	}
}

const partitions = 12

// A process is a node in a process of its own.
type process struct {
	*child.Process
	fleet *fleet
	t     *testing.T
	log   string
}

func (f *fleet) start() *process {
	f.t.Helper()
	config := f.config()
	f.started++
	name := fmt.Sprintf("node-%d", f.started)
	p := &process{fleet: f, t: f.t, log: filepath.Join(f.dir, name+".log")}
	var err error
	p.Process, err = child.Start(child.Command{
		Env: []string{asNode + "=" + f.journal.path, "TASKTIER_CONFIG=" + config, "TASKTIER_NODE_NAME=" + name}, Log: p.log,
	})
	must(f.t, err)
	f.alive = append(f.alive, p)
	f.t.Cleanup(func() { p.kill() })
	return p
}

func (p *process) pid() int { return p.PID() }

// said is what the node has logged.
func (p *process) said() string {
	p.t.Helper()
	log, err := os.ReadFile(p.log)
	must(p.t, err)
	return string(log)
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.Signal(s); err != nil {
		p.t.Error(err)
	}
}

// stop sends SIGTERM and waits for a clean end.
func (p *process) stop() {
	p.t.Helper()
	p.over()
	if err := p.Stop(); err != nil {
		p.t.Error(err)
	}
}

// kill sends SIGKILL and waits for the end. It says when it was sent.
func (p *process) kill() time.Time {
	p.t.Helper()
	p.over()
	at, err := p.Kill()
	if err != nil {
		p.t.Error(err)
	}
	return at
}

// over says that the node is to end.
func (p *process) over() {
	p.fleet.alive = slices.DeleteFunc(p.fleet.alive, func(other *process) bool { return other == p })
}

// ready starts so many nodes and returns when each has worked.
func (f *fleet) ready(n int) []*process {
	f.t.Helper()
	nodes := make([]*process, n)
	for i := range nodes {
		nodes[i] = f.start()
	}
	f.join(nodes...)
	return nodes
}

// join returns when each of the nodes has run a task that was sent after the call.
func (f *fleet) join(nodes ...*process) {
	f.t.Helper()
	from := time.Now()
	for i := 0; ; i++ {
		if i%5 == 0 {
			f.send(work.New(workload{1}, task.ID(fmt.Sprintf("%s%d-%d", joining, from.UnixNano(), i))))
		}
		worked := make(map[int]bool)
		for _, runs := range f.runs() {
			for _, r := range runs {
				worked[r.pid] = worked[r.pid] || r.at.After(from)
			}
		}
		if !slices.ContainsFunc(nodes, func(p *process) bool { return !worked[p.pid()] }) {
			return
		}
		f.pause("all nodes work", from)
	}
}

// joining begins the ids of the tasks that nodes show with that they work.
const joining = "join-"

// send publishes tasks, spread over the partitions. The first time it makes the queue's topics, as a node would.
func (f *fleet) send(tasks ...*task.Task) {
	f.t.Helper()
	ctx := f.t.Context()
	if f.producer == nil {
		f.open()
	}
	for batch := range slices.Chunk(tasks, max(1, len(tasks)/100)) { // each goes to a partition
		must(f.t, f.producer.Send(ctx, batch...))
	}
}

func (f *fleet) open() {
	f.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.brokers...))
	must(f.t, err)
	defer cl.Close()
	specs := topic.Specs(f.queue, []topic.Queue{{Name: f.queue, Partitions: partitions, MaxBytes: 1 << 20}})
	must(f.t, topic.Ensure(f.t.Context(), kadm.NewClient(cl), specs, true))
	f.producer, err = producer.New(producer.Config{Brokers: f.brokers, Queue: f.queue})
	must(f.t, err)
	f.t.Cleanup(func() {
		if err := f.producer.Close(context.WithoutCancel(f.t.Context())); err != nil {
			f.t.Error(err)
		}
	})
}

// load publishes n tasks "0", "1", … that take from least to most milliseconds.
func (f *fleet) load(n, least, most int) {
	f.t.Helper()
	tasks := make([]*task.Task, n)
	for i := range tasks {
		tasks[i] = work.New(workload{least + i%(most-least+1)}, task.ID(fmt.Sprint(i)))
	}
	f.send(tasks...)
}

// runs returns what was run so far, by task.
func (f *fleet) runs() map[string][]*run {
	f.t.Helper()
	f.journal.update(f.t)
	return f.journal.runs
}

// ended is how many different tasks have ended.
func (f *fleet) ended() int {
	f.t.Helper()
	f.runs()
	return f.journal.ended
}

// patience bounds every wait.
const patience = 2 * time.Minute

// pause lets a moment pass before another look at what a test waits for since from. It fails the test if that is in vain, or
// a node has ended that nobody told to.
func (f *fleet) pause(for_ string, from time.Time) {
	f.t.Helper()
	for _, p := range f.alive {
		if p.Ended() && !f.deadly {
			f.t.Fatalf("a node ended by itself (%v):\n%s", p.Wait(), p.said())
		}
	}
	if time.Since(from) > patience {
		f.t.Fatalf("waited %s in vain until %s; %d tasks have ended", patience, for_, f.ended())
	}
	<-time.After(20 * time.Millisecond)
}

// until waits for a condition.
func (f *fleet) until(what string, holds func() bool) {
	f.t.Helper()
	for from := time.Now(); !holds(); {
		f.pause(what, from)
	}
}

// await waits until n different tasks have ended.
func (f *fleet) await(n int) {
	f.t.Helper()
	f.until(fmt.Sprintf("%d tasks have ended", n), func() bool { return f.ended() >= n })
}

// repeats are the tasks that were started more than once.
func (f *fleet) repeats() map[string][]*run {
	f.t.Helper()
	repeats := make(map[string][]*run)
	for id, runs := range f.runs() {
		if len(runs) > 1 {
			repeats[id] = runs
		}
	}
	return repeats
}

// all fails the test if one of the tasks of load has not ended.
func (f *fleet) all(n int) {
	f.t.Helper()
	lost := 0
	for i := range n {
		if !slices.ContainsFunc(f.runs()[fmt.Sprint(i)], func(r *run) bool { return r.how == ended }) {
			lost++
		}
	}
	if lost > 0 {
		f.t.Errorf("of %d tasks %d were lost", n, lost)
	}
}

// onceEach fails the test unless each of the tasks of load, and every other, started once and ended once.
func (f *fleet) onceEach(n int) {
	f.t.Helper()
	f.all(n)
	if f.redis != nil {
		f.succeeded(n)
	}
	for id, runs := range f.repeats() {
		f.t.Errorf("%d tasks ran more than once, such as %s: %s", len(f.repeats()), id, story(runs))
		break
	}
}

// story tells the runs of a task.
func story(runs []*run) string {
	var b strings.Builder
	for _, r := range runs {
		fmt.Fprintf(&b, "\n  pid %d, fence %d, from %s to %s %s %s", r.pid, r.fence, r.at.Format(clock), r.until.Format(clock), r.how, r.saw)
	}
	return b.String()
}

const clock = "15:04:05.000000"

// store opens the claims, to see what the nodes have written.
func (f *fleet) store() *claim.Store {
	f.t.Helper()
	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: f.redis, IsClusterMode: f.cluster, MaxRetries: -1})
	f.t.Cleanup(func() {
		if err := client.Close(); err != nil {
			f.t.Error(err)
		}
	})
	return claim.NewStore(client, f.queue)
}

func (f *fleet) identity(id string) claim.Identity {
	return claim.Identity{Queue: f.queue, Source: source, ID: id}
}

// states counts what the claims of load's tasks say; "" is for those that have none.
func (f *fleet) states(n int) map[task.State]int {
	f.t.Helper()
	store := f.store()
	const askers = 8
	states := make([]task.State, n)
	errs := make([]error, askers)
	var asking sync.WaitGroup
	for a := range askers {
		asking.Go(func() {
			for i := a; i < n; i += askers {
				status, err := store.Get(f.t.Context(), f.identity(fmt.Sprint(i)))
				if err != nil && !errors.Is(err, claim.ErrUnknown) {
					errs[a] = err
				}
				states[i] = status.State
			}
		})
	}
	asking.Wait()
	must(f.t, errors.Join(errs...))
	counts := make(map[task.State]int)
	for _, s := range states {
		counts[s]++
	}
	return counts
}

// succeeded fails the test unless the claims say so of all of load's tasks.
func (f *fleet) succeeded(n int) {
	f.t.Helper()
	if states := f.states(n); states[task.Succeeded] != n {
		f.t.Errorf("of %d tasks that were done the claims say %v", n, states)
	}
}
