package consumer_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The product as a whole, but for etcd: three processes, each a consumer and a forwarder of the retry tiers, compete for
// tasks that succeed, fail, snooze, are not due yet, ignore their contexts or take their process down. Processes are killed,
// stopped, and lose their sessions; connections to Redis and Kafka break; brokers answer with errors, some of which are
// lies; records come twice; tasks are canceled and replayed; and in every fourth simulation Redis is emptied. Brokers, Redis
// and the clock are in memory, in a bubble of testing/synctest. What must hold is in simulation_check_test.go for tasks and
// simulation_log_test.go for logs and commits.
//
//	go test -tags synctests -run TestSimulation ./consumer                                      a few
//	TASKTIER_SEEDS=5000 go test -tags synctests -v -timeout 1h -run TestSimulation ./consumer   many, on all cores
//	TASKTIER_SEED=17 go test -tags synctests -count 10 -run TestSimulation ./consumer           one, again and again
//
// With -tags synctests, Kafka's client uses locks that a bubble understands. Only then can processes be members of one
// group, which waits for them when others come and go, and only then can they be cut off from Kafka, and groups be disturbed;
// that is what ./check simulate does. Without, each has groups of its own.
//
// What happens, when, and what handlers do follows from the seed; which of two goroutines goes first that could both go,
// how long a pause with jitter is, and in which order Go's maps are walked does not. So a seed that failed may have to be
// run more than once to fail again. A failure prints what happened, and the command.
func TestSimulation(t *testing.T) {
	seeds, spread := seedsToRun(t)
	if spread {
		spreadSeeds(t, seeds)
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a simulation has little that lasts, and much that does not
	for seed := seeds.from; seed < seeds.to; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { newSimulation(t, uint64(seed)).play() })
		})
	}
}

// A simulation is all that happens in one.
type simulation struct {
	world
	t      *testing.T
	s      *stage
	c      *claims
	seed   uint64
	others sync.WaitGroup
	watch  *watch
	groups *groups

	mu     sync.Mutex
	tasks  map[string]*subject
	order  []*subject           // as they were first heard of
	lost   map[string]time.Time // when sessions ended for themselves
	faults []*kfake.FaultHandle
	slows  []time.Duration // of the next writes
	excuse int             // how often a forwarder, or its way to Kafka, was disturbed
	log    []string
}

// A world is what a simulation is like as a whole.
type world struct {
	together bool              // processes are members of the same groups; else each has its own
	prefixes []string          // of processes
	brokers  int               // Kafka's
	frail    float64           // how frail the connections to Redis are; 0: not
	flush    bool              // Redis is emptied in it
	tight    bool              // forwarders have little memory
	jobs     int               // how many tasks there are
	script   time.Duration     // how long things happen
	appetite map[happening]int // for what
}

// simulatedAttempts of a task exhaust it.
const simulatedAttempts = 4

// ending is how long all may take to come to an end once nothing happens any more.
const ending = 12 * time.Minute

func newSimulation(t *testing.T, seed uint64) *simulation {
	m := &simulation{t: t, seed: seed, tasks: make(map[string]*subject), lost: make(map[string]time.Time)}
	m.world = m.imagine()
	virtual := &bubble.Network{Before: m.delay}
	ports := make([]int, m.brokers)
	for i := range ports {
		ports[i] = 9092 + i
	}
	opts := []kfake.Opt{kfake.NumBrokers(m.brokers), kfake.Ports(ports...), kfake.ListenFn(virtual.Listen)}
	for _, prefix := range m.installations() {
		opts = append(opts,
			kfake.SeedTopics(tier.Minute.Partitions, names.RetryMinute(prefix)),
			kfake.SeedTopics(tier.Hour.Partitions, names.RetryHour(prefix)))
	}
	m.c = newClaims(t)
	m.s = newStageOf(t, m.far(virtual.DialContext), append(opts, kfake.SeedTopics(2, names.Pending("tasks"), names.Dead("tasks")))...)
	m.s.client = m.s.dial(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProduceRequestTimeout(ownTimeout))
	m.watch, m.groups = m.newWatch(), newGroups(m)
	return m
}

// imagine draws a world.
func (m *simulation) imagine() world {
	d := m.dice("world", 0)
	w := world{
		together: synctests && d.IntN(3) > 0,
		prefixes: []string{"red", "green", "blue"},
		brokers:  1 + max(0, d.IntN(4)-2),
		frail:    []float64{0, 1, 1, 3}[d.IntN(4)],
		flush:    m.seed%4 == 2,
		tight:    d.IntN(4) == 0,
		jobs:     6 + d.IntN(10),
		script:   4*time.Second + time.Duration(d.IntN(9))*time.Second,
		appetite: make(map[happening]int),
	}
	for e := range happening(happenings) {
		// Some have none, so that simulations differ in more than the order of what happens.
		w.appetite[e] = []int{0, 1, 1, 1, 4}[d.IntN(5)]
	}
	if !w.flush {
		w.appetite[redisIsEmptied] = 0
	}
	if d.IntN(4) == 0 { // whatever is doubled then, and what is late, nothing excuses
		for _, e := range []happening{aKill, kafkaIsCut, kafkaIsBroken, kafkaIsSlow, kafkaMoves} {
			w.appetite[e] = 0
		}
	}
	if !synctests { // groups must not be waited for
		w.brokers, w.appetite[kafkaIsCut], w.appetite[kafkaMoves] = 1, 0, 0
	}
	return w
}

// installations are the prefixes of groups and tiers.
func (m *simulation) installations() []string {
	if m.together {
		return m.prefixes[:1]
	}
	return m.prefixes
}

// installation is the prefix of the groups and tiers of a process.
func (m *simulation) installation(process string) string {
	if m.together {
		return m.prefixes[0]
	}
	return process
}

// play lets things happen, waits until all tasks have ended, and judges.
func (m *simulation) play() {
	defer m.tell()
	processes := make(map[string]*process)
	for _, prefix := range m.prefixes {
		processes[prefix] = m.spawn(prefix)
	}
	m.happen(processes)
	m.calm()
	for limit := time.Now().Add(ending); !m.over(); {
		m.respawn(processes)
		m.tick()
		if time.Now().After(limit) {
			m.unfinished()
			break
		}
	}
	for _, p := range processes {
		m.others.Go(p.stop)
	}
	m.others.Wait()
	m.tick()
	m.verdict()
	m.watch.doubles()
}

// respawn starts a process anew for each that has ended.
func (m *simulation) respawn(processes map[string]*process) {
	for _, prefix := range m.prefixes {
		select {
		case <-processes[prefix].left:
			processes[prefix] = m.spawn(prefix)
		default:
		}
	}
}

// tick lets a little time pass and looks at everything.
func (m *simulation) tick() {
	time.Sleep(250 * time.Millisecond)
	synctest.Wait()
	m.mu.Lock()
	subjects := m.order
	m.mu.Unlock()
	for _, s := range subjects {
		s.look()
		s.zombies()
	}
	m.watch.commits()
}

// dice are those of one thing that happens, so that they fall as they fall whatever else happens.
func (m *simulation) dice(what string, n int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", what, n)
	return rand.New(rand.NewPCG(m.seed, h.Sum64()))
}

func (m *simulation) logf(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note(format, args...)
}

// note is logf for those who hold m.mu.
func (m *simulation) note(format string, args ...any) {
	m.log = append(m.log, time.Now().Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

// tell prints what happened, if it was wrong, and how to see it again.
func (m *simulation) tell() {
	if !m.t.Failed() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.t.Logf("seed %d, %+v:", m.seed, m.world)
	for _, line := range m.log {
		m.t.Log(line)
	}
	tags := ""
	if synctests {
		tags = "-tags synctests "
	}
	m.t.Logf("to see it again: TASKTIER_SEED=%d go test %s-count 10 -run 'TestSimulation$' ./consumer", m.seed, tags)
}
