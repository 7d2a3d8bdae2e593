package limit_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
)

const (
	locksFor = 20 * time.Second // LOCKS says another time
	locksTTL = 3 * time.Second
	// A node may wait for a dead or stopped holder or waiter, for a TTL; for etcd's next leader, who lets all leases begin
	// anew; and for its turn. And it may itself be stopped for less than what costs it its session.
	longestWait = 8 * locksTTL
)

// Five processes compete for a lock and for three slots, are killed and stopped, and so is etcd's leader. What they say they did is
// judged. It is not parallel, as it takes the whole machine.
func TestLocksUnderFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute of the whole machine: ./check long runs it")
	}
	length := locksFor
	if told := os.Getenv("LOCKS"); told != "" {
		var err error
		length, err = time.ParseDuration(told)
		must(t, err)
	}
	seed := uint64(time.Now().UnixNano())
	if told := os.Getenv("SEED"); told != "" {
		_, err := fmt.Sscan(told, &seed)
		must(t, err)
	}
	t.Logf("SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	cluster := testenv.StartEtcdCluster(t, 3)
	dir, limits := t.TempDir(), map[string]int{"lock": 1, "three": 3}
	processes := make([]*process, 5)
	for i := range processes {
		processes[i] = &process{t: t, orders: orders{
			Endpoints: cluster.Endpoints(), Prefix: unique(t), Name: fmt.Sprint("node-", i), File: filepath.Join(dir, fmt.Sprint("node-", i)),
			TTL: locksTTL, Fair: 100 * time.Millisecond, Limits: limits,
		}}
		processes[i].orders.Prefix = processes[0].orders.Prefix
		processes[i].start()
	}
	faults := map[string]int{}
	disturb(t, rng, length, processes, cluster, faults)
	for _, p := range processes {
		p.end()
	}

	var events []event
	nodes := map[string]map[int]bool{}
	for i, p := range processes {
		said := read(t, p.orders.File)
		for _, e := range said {
			if e.What == "begin" {
				if nodes[e.Type] == nil {
					nodes[e.Type] = map[int]bool{}
				}
				nodes[e.Type][i] = true
			}
		}
		events = append(events, said...)
	}
	v := judge(events, limits)
	sessions := map[string]bool{}
	for _, e := range events {
		sessions[e.Session] = true
	}
	t.Logf("%s: faults %v; %d tasks, %d holdings of slots, %d sessions, at most at once %v, longest waiting %s",
		length, faults, v.tasks, v.tokens, len(sessions), v.atOnce, v.longest)
	for i, violation := range v.violations {
		if t.Error(violation); i == 20 {
			break
		}
	}
	if v.longest > longestWait {
		t.Errorf("a node waited for %s, want %s at most", v.longest, longestWait)
	}
	for typ := range limits {
		if length >= time.Minute && len(nodes[typ]) != len(processes) {
			t.Errorf("of %s only the nodes %v ever had a slot", typ, nodes[typ])
		}
	}
	if len(sessions) <= len(processes) || v.tokens < 2*len(processes) {
		t.Error("too little has happened to say anything")
	}
}

// disturb kills and stops processes, and kills etcd's leader, at random until the time is over; then all run again.
func disturb(t *testing.T, rng *rand.Rand, length time.Duration, processes []*process, cluster *testenv.EtcdCluster, faults map[string]int) {
	t.Helper()
	var mending sync.WaitGroup
	defer mending.Wait()
	etcdWhole := make(chan struct{}, 1)
	etcdWhole <- struct{}{}
	for end := time.Now().Add(length); time.Now().Before(end); {
		time.Sleep(time.Duration(rng.Int64N(int64(time.Second)))) // between faults
		p, away := processes[rng.IntN(len(processes))], time.Duration(rng.Int64N(int64(2*locksTTL)))
		switch kind := rng.IntN(10); {
		case kind == 0:
			select {
			case <-etcdWhole:
			default:
				continue // one is away already
			}
			leader, err := cluster.Leader()
			must(t, err)
			must(t, leader.Kill())
			faults["etcd leaders killed"]++
			mending.Go(func() {
				time.Sleep(away / 2) // until it is mended
				if err := leader.Start(); err != nil {
					t.Error(err)
				}
				etcdWhole <- struct{}{}
			})
		case !p.free():
		case kind < 5:
			faults["nodes killed"]++
			p.kill()
			mending.Go(func() {
				time.Sleep(away / 4) // until it is mended
				p.start()
				p.mended()
			})
		default:
			faults["nodes stopped"]++
			p.signal(syscall.SIGSTOP)
			mending.Go(func() {
				time.Sleep(away) // until it is mended
				p.signal(syscall.SIGCONT)
				p.mended()
			})
		}
	}
}

// A process is a node that a test kills and starts again.
type process struct {
	t      *testing.T
	orders orders

	mu     sync.Mutex
	cmd    *exec.Cmd
	in     io.Closer
	broken bool
}

func (p *process) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	told, err := json.Marshal(p.orders)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+string(told))
	cmd.Stderr = os.Stderr
	var in io.WriteCloser
	if err == nil {
		in, err = cmd.StdinPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.t.Errorf("start %s: %v", p.orders.Name, err) // it may not be the test's goroutine
		return
	}
	p.cmd, p.in = cmd, in
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed, or waited for before
	})
}

func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // killed: it is an error
}

func (p *process) signal(s os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Error(err)
	}
}

// end ends it as an operator would.
func (p *process) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%s: %v", p.orders.Name, err)
	}
}

// free says whether nothing is done to it, and that from now on something is, until mended.
func (p *process) free() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.broken
	p.broken = true
	return !was
}

func (p *process) mended() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = false
}

// read returns what a node has said; the last line of a life may be broken off.
func read(t *testing.T, path string) []event {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	var events []event
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			events = append(events, e)
		}
	}
	return events
}
