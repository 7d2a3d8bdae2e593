package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	simulatedAttempts = 4
	simulatedTasks    = 25
	// script is how long things happen to the processes of a simulation, and ending how long the rest may take.
	script = 25 * time.Second
	ending = 3 * time.Minute
)

// The protocol as a whole: three processes compete for tasks that succeed, fail, snooze, ignore their contexts or take their
// process down; processes are killed, stopped, and lose their sessions; connections to Redis break; records come twice;
// tasks are canceled and replayed; and in every fourth simulation Redis is emptied. What must hold is in
// simulation_check_test.go.
//
// TASKTIER_SEEDS says how many simulations to run, default 16, and TASKTIER_SEED which one alone. What happens follows from
// the seed; in which order goroutines run that could run at once does not, so a seed that failed may have to be run more
// than once.
func TestSimulation(t *testing.T) {
	seeds := 16
	if text := os.Getenv("TASKTIER_SEEDS"); text != "" {
		seeds, _ = strconv.Atoi(text)
	}
	first := 0
	if text := os.Getenv("TASKTIER_SEED"); text != "" {
		first, _ = strconv.Atoi(text)
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", first+seed), func(t *testing.T) { simulate(t, uint64(first+seed)) })
	}
}

// A simulation is all that happens in one.
type simulation struct {
	t      *testing.T
	s      *stage
	c      *claims
	seed   uint64
	faults float64 // how frail the connections to Redis are; 0: not
	flush  bool    // Redis is emptied in it
	others sync.WaitGroup

	mu      sync.Mutex
	network *rand.Rand
	tasks   map[string]*subject
	lost    map[string]time.Time // when sessions ended for themselves
	log     []string
	courier *courier
}

func simulate(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		prefixes := []string{"red", "green", "blue"}
		virtual := new(kfake.VirtualNetwork)
		opts := []kfake.Opt{kfake.Ports(9092), kfake.ListenFn(virtual.Listen)}
		for _, prefix := range prefixes {
			opts = append(opts, kfake.SeedTopics(tier.Minute.Partitions, names.RetryMinute(prefix)))
		}
		m := &simulation{
			t: t, s: newStage(t, virtual.DialContext, 2, nil, opts...), c: newClaims(t), seed: seed,
			faults: []float64{0, 1, 1, 3}[seed%4], flush: seed%4 == 2, network: rand.New(rand.NewPCG(seed, 1)), tasks: map[string]*subject{}, lost: map[string]time.Time{},
		}
		defer m.tell()
		m.courier = m.deliver(prefixes)
		m.play(prefixes)
	})
}

func (m *simulation) logf(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log = append(m.log, time.Now().Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

// tell prints what happened, if it was wrong.
func (m *simulation) tell() {
	if m.t.Failed() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.t.Logf("seed %d:", m.seed)
		for _, line := range m.log {
			m.t.Log(line)
		}
	}
}

// dice are those of one thing that happens, so that they fall as they fall whatever else happens.
func (m *simulation) dice(what string, n int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", what, n)
	return rand.New(rand.NewPCG(m.seed, h.Sum64()))
}

// play lets things happen, and then waits until all tasks have ended.
func (m *simulation) play(prefixes []string) {
	random := m.dice("script", 0)
	processes := make(map[string]*process)
	for _, prefix := range prefixes {
		processes[prefix] = m.spawn(prefix)
	}
	for i := range simulatedTasks {
		m.subject(fmt.Sprintf("job-%d", i))
	}
	sent := 0
	began := time.Now()
	for time.Since(began) < script {
		m.tick()
		prefix := prefixes[random.IntN(len(prefixes))]
		p := processes[prefix]
		id := fmt.Sprintf("job-%d", random.IntN(simulatedTasks))
		if sent < simulatedTasks && random.IntN(2) == 0 {
			m.send(fmt.Sprintf("job-%d", sent))
			sent++
		}
		switch random.IntN(36) {
		case 0:
			p.kill()
		case 1:
			m.others.Go(p.stop)
		case 2, 9:
			p.loseSession(time.Duration(random.IntN(5000)) * time.Millisecond)
		case 3, 4:
			m.send(id) // once more
		case 5:
			m.cancel(id)
		case 6:
			m.replay(id)
		case 7:
			silence := time.Duration(random.IntN(8000)) * time.Millisecond
			m.others.Go(func() {
				m.logf("no way to redis for %s for %v", p.prefix, silence)
				p.redis.cut()
				time.Sleep(silence)
				select {
				case <-p.dead:
				default:
					p.redis.mend()
				}
			})
		case 8:
			if m.flush {
				m.logf("redis is emptied")
				m.c.redis.FlushAll()
			}
		}
		m.respawn(processes)
	}
	for ; sent < simulatedTasks; sent++ {
		m.send(fmt.Sprintf("job-%d", sent))
	}
	for limit := time.Now().Add(ending); !m.over(prefixes); {
		m.respawn(processes)
		m.tick()
		if time.Now().After(limit) {
			m.unfinished(prefixes)
			break
		}
	}
	for _, p := range processes {
		m.others.Go(p.stop)
	}
	m.others.Wait()
	m.tick()
	m.verdict()
}

// respawn starts a process anew for each that has ended.
func (m *simulation) respawn(processes map[string]*process) {
	for prefix, p := range processes {
		select {
		case <-p.left:
			processes[prefix] = m.spawn(prefix)
		default:
		}
	}
}

func (m *simulation) send(id string) {
	m.subject(id).sent()
	tk := task.New("job", nil, task.ID(id), task.Source("/test"))
	r := record.Encode(tk, names.Pending("tasks"))
	r.Partition = int32(m.dice(id, -1).IntN(2))
	m.produce(r)
}

// produce returns when the record is in its log.
func (m *simulation) produce(r *kgo.Record) {
	if err := m.s.client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		m.t.Errorf("send: %v", err)
	}
}

func (m *simulation) cancel(id string) {
	m.others.Go(func() {
		m.subject(id).asked()
		got, err := m.c.store.Cancel(context.Background(), identity(id), claim.Window{})
		m.logf("cancel %s: %+v %v", id, got, err)
	})
}

// replay sends a dead task again, as an operator does: with the next generation.
func (m *simulation) replay(id string) {
	found := m.c.look(id)
	if found.State != claim.Dead {
		return
	}
	m.logf("replay %s", id)
	m.subject(id).replayed()
	tk := task.New("job", nil, task.ID(id), task.Source("/test"))
	r := record.Move(record.Encode(tk, names.Pending("tasks")), names.Pending("tasks"), nil, record.Stamp{Generation: found.Generation + 1, Turn: 1, Attempt: 1})
	m.produce(r)
}

// run is the handler of all tasks: what it does follows from the task's plan, and how long it takes from the dice.
func (m *simulation) run(p *process, ctx context.Context, tk *task.Task) (err error) {
	r := m.enter(p, ctx, tk)
	defer func() { m.leave(r, err) }()
	d := m.dice(tk.ID, r.number)
	lasts := time.Duration(d.IntN(2000)) * time.Millisecond
	if d.IntN(5) == 0 {
		lasts = time.Duration(d.IntN(12)) * time.Second
	}
	deaf := d.IntN(3) == 0
	done := ctx.Done()
	if deaf {
		done = nil
	}
	select {
	case <-time.After(lasts):
	case <-done:
		return ctx.Err()
	case <-p.dead:
		<-ctx.Done() // its last moment: what it says is heard by nobody
		return ctx.Err()
	}
	plan := r.of.plan
	switch {
	case plan.kills && tk.Generation == 0:
		p.kill()
		<-p.dead
		<-ctx.Done()
		return ctx.Err()
	case d.IntN(10) == 0 && tk.Turn < 4:
		return task.Snooze(time.Duration(d.IntN(3000)) * time.Millisecond)
	case tk.Generation > 0:
		return nil
	case plan.gives:
		return task.Permanent(errors.New("no such account"))
	case tk.Attempt <= plan.fails:
		if d.IntN(5) == 0 {
			err = errors.New("no luck") // for leave
			panic(err)
		}
		return task.RetryAfter(time.Duration(d.IntN(3000))*time.Millisecond, errors.New("no luck"))
	}
	return nil
}
