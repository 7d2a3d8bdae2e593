package pipeline

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/task"
)

const asNode = "TASKTIER_TEST_NODE"

// TestMain turns the test binary into a node where a test asks for one.
func TestMain(m *testing.M) {
	if log := os.Getenv(asNode); log != "" {
		if err := beNode(log); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testenv.Main(m)
}

// work takes its payload's time.
var work = task.Define[workload]("work", task.Source("/e2e"))

type workload struct {
	Milliseconds int `json:"ms"`
}

// beNode runs a node whose handler appends "start <id>" and "end <id>" to a file.
func beNode(log string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := config.Load("", os.Environ())
	if err != nil {
		return err
	}
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	mux := consumer.NewMux()
	err = consumer.Handle(mux, work, func(ctx context.Context, w workload) error {
		id := task.From(ctx).ID
		if _, err := fmt.Fprintf(f, "start %s\n", id); err != nil {
			return err
		}
		select {
		case <-time.After(time.Duration(w.Milliseconds) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		_, err := fmt.Fprintf(f, "end %s\n", id)
		return err
	})
	if err != nil {
		return err
	}
	return tasktier.Run(ctx, cfg, mux)
}

// A process is a node in a process of its own.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	out strings.Builder
}

// A fleet is the nodes of a test and the log that they share.
type fleet struct {
	t       *testing.T
	brokers []string
	queue   string
	log     string
}

func newFleet(t *testing.T, brokers []string) *fleet {
	t.Helper()
	return &fleet{t: t, brokers: brokers, queue: strings.ToLower(testenv.Unique(t)), log: filepath.Join(t.TempDir(), "log")}
}

// config is that of a node of this fleet.
func (f *fleet) config() string {
	f.t.Helper()
	path := filepath.Join(filepath.Dir(f.log), "tasktier.yaml")
	text := fmt.Sprintf("kafka: {brokers: [%s]}\nnode: {http: \"\", drain: 20s}\nqueues:\n  %s: {partitions: 12}\n",
		strings.Join(f.brokers, ", "), f.queue)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

func (f *fleet) start() *process {
	f.t.Helper()
	p := &process{t: f.t, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), asNode+"="+f.log, "TASKTIER_CONFIG="+f.config())
	p.cmd.Stderr = &p.out
	if err := p.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.kill()
		}
	})
	return p
}

// stop sends SIGTERM and waits for a clean end.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the node did not stop cleanly: %v\n%s", err, p.out.String())
	}
}

// kill sends SIGKILL.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Error(err)
	}
	p.cmd.Wait() //nolint:errcheck // it was killed
}

// runs counts, per task, how often it was started and how often it ended.
func (f *fleet) runs() (starts, ends map[string]int) {
	f.t.Helper()
	starts, ends = make(map[string]int), make(map[string]int)
	file, err := os.Open(f.log)
	if os.IsNotExist(err) {
		return starts, ends
	} else if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	s := bufio.NewScanner(file)
	for s.Scan() {
		what, id, _ := strings.Cut(s.Text(), " ")
		switch what {
		case "start":
			starts[id]++
		case "end":
			ends[id]++
		}
	}
	if err := s.Err(); err != nil {
		f.t.Fatal(err)
	}
	return starts, ends
}

// await waits until n different tasks have ended.
func (f *fleet) await(n int) {
	f.t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, ends := f.runs()
		if len(ends) >= n {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			f.t.Fatalf("%d of %d tasks have ended", len(ends), n)
		}
	}
}
