package simulation

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
	"github.com/tasktier/tasktier/internal/testenv/consumertest"
	"github.com/tasktier/tasktier/internal/testenv/inmemory"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestSimulation runs one simulation for each seed. The package's documentation says what a simulation is, and how to run
// others.
func TestSimulation(t *testing.T) {
	seeds, spread := seedsToRun(t)
	if spread {
		spreadSeeds(t, seeds)
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a simulation has much garbage and little that lasts
	for seed := seeds.from; seed < seeds.to; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { newSimulation(t, uint64(seed)).run() })
		})
	}
}

// A simulation is the state of one seed's simulation.
type simulation struct {
	scenario
	t          *testing.T
	seed       uint64
	kafka      *inmemory.Kafka
	dial       bubble.Dialer // opens connections to kafka
	client     *kgo.Client   // of the simulation itself
	claims     *consumertest.Claims
	background sync.WaitGroup // what goes on beside the events
	observer   *observer
	groups     *groups

	mu           sync.Mutex
	tasks        map[string]*taskState
	order        []*taskState         // in the order in which they were first seen
	leaseEnds    map[string]time.Time // by session: when its own process no longer trusted it
	faults       []*kfake.FaultHandle
	delays       []time.Duration // of the next produce requests
	disturbances int             // how often a forwarder, or its connection to Kafka, was disturbed
	log          []string
}

// ending is how long it may take until everything is committed once no more events happen.
const ending = 12 * time.Minute

func newSimulation(t *testing.T, seed uint64) *simulation {
	m := &simulation{t: t, seed: seed, tasks: make(map[string]*taskState), leaseEnds: make(map[string]time.Time)}
	m.scenario = m.draw()
	network := &bubble.Network{Before: m.delay}
	ports := make([]int, m.brokers)
	for i := range ports {
		ports[i] = 9092 + i
	}
	opts := []kfake.Opt{kfake.NumBrokers(m.brokers), kfake.Ports(ports...), kfake.ListenFn(network.Listen)}
	for _, prefix := range m.installations() {
		opts = append(opts,
			kfake.SeedTopics(tier.Minute.Partitions, names.RetryMinute(prefix)),
			kfake.SeedTopics(tier.Hour.Partitions, names.RetryHour(prefix)))
	}
	opts = append(opts, kfake.SeedTopics(2, names.Pending("tasks"), names.Dead("tasks")))
	m.claims = consumertest.NewClaims(t)
	m.dial = m.withLatency(network.DialContext)
	m.kafka = inmemory.NewKafka(t, m.dial, opts...)
	m.client = m.kafka.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProduceRequestTimeout(ownTimeout))
	m.observer, m.groups = m.newObserver(), newGroups(m)
	return m
}

// installations returns the prefixes of groups and tiers.
func (m *simulation) installations() []string {
	if m.sharedGroups {
		return m.prefixes[:1]
	}
	return m.prefixes
}

// installation returns the prefix of the groups and tiers of a process.
func (m *simulation) installation(process string) string {
	if m.sharedGroups {
		return m.prefixes[0]
	}
	return process
}

// run causes the events, waits until everything is committed, stops all processes, and checks how the tasks have ended.
func (m *simulation) run() {
	defer m.report()
	processes := make(map[string]*process)
	for _, prefix := range m.prefixes {
		processes[prefix] = m.start(prefix)
	}
	m.causeEvents(processes)
	m.removeFaults()
	for limit := time.Now().Add(ending); !m.allCommitted(); {
		m.restart(processes)
		m.step()
		if time.Now().After(limit) {
			m.reportUncommitted()
			break
		}
	}
	for _, p := range processes {
		m.background.Go(p.stop)
	}
	m.background.Wait()
	m.step()
	m.checkOutcomes()
	m.observer.checkForwarded()
}

// restart starts a process anew for each that has ended.
func (m *simulation) restart(processes map[string]*process) {
	for _, prefix := range m.prefixes {
		select {
		case <-processes[prefix].left:
			processes[prefix] = m.start(prefix)
		default:
		}
	}
}

// step lets a little time pass and checks everything.
func (m *simulation) step() {
	time.Sleep(250 * time.Millisecond)
	synctest.Wait()
	m.mu.Lock()
	tasks := m.order
	m.mu.Unlock()
	for _, s := range tasks {
		s.checkClaim()
		s.checkSessions()
	}
	m.observer.checkCommits()
}

// random returns a source of random numbers for one purpose. Its numbers follow from the seed, the purpose and n only, so
// they do not depend on what else happens.
func (m *simulation) random(purpose string, n int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", purpose, n)
	return rand.New(rand.NewPCG(m.seed, h.Sum64()))
}

func (m *simulation) logf(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.logfLocked(format, args...)
}

// logfLocked is logf for callers that hold m.mu.
func (m *simulation) logfLocked(format string, args ...any) {
	m.log = append(m.log, time.Now().Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

// report prints the log of a simulation that failed, and how to repeat it.
func (m *simulation) report() {
	if !m.t.Failed() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.t.Logf("seed %d, %+v:", m.seed, m.scenario)
	for _, line := range m.log {
		m.t.Log(line)
	}
	tags := ""
	if synctests {
		tags = "-tags synctests "
	}
	m.t.Logf("to repeat it: TASKTIER_SEED=%d go test %s-count 10 -run 'TestSimulation$' ./test/simulation", m.seed, tags)
}
