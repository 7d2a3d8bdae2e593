package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
	"go.uber.org/zap"
)

// asNode makes the test binary a node.
const asNode = "TASKTIER_TEST_SOAK"

var (
	// work does what its payload says.
	work = task.Define[plan]("work", task.Source("/soak"))
	// locked is work that only one may do at a time in the cluster.
	locked = task.Define[plan]("locked", task.Source("/soak"))
)

// A plan is what a task does before it succeeds.
type plan struct {
	Fails   bool `json:"fails,omitempty"`   // its first attempt
	Snoozes bool `json:"snoozes,omitempty"` // once, before that
}

// inside is what a node says of itself.
type inside struct {
	Heap       uint64 `json:"heap"` // bytes in use after a collection
	Goroutines int    `json:"goroutines"`
	Done       int64  `json:"done"` // tasks
}

// beNode runs a node until SIGTERM. For each line that it reads it writes what it is like inside.
func beNode() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := config.Load("", os.Environ())
	if err != nil {
		return err
	}
	var done atomic.Int64
	mux := consumer.NewMux()
	do := func(ctx context.Context, p plan) error {
		switch t := task.From(ctx); {
		case p.Fails && t.Attempt == 1:
			return errors.New("no luck")
		case p.Snoozes && t.Turn == 1:
			return task.Snooze(time.Second)
		}
		done.Add(1)
		return nil
	}
	if err := errors.Join(consumer.Handle(mux, work, do), consumer.Handle(mux, locked, do)); err != nil {
		return err
	}
	log, err := zap.NewProductionConfig().Build()
	if err != nil {
		return err
	}
	go func() { // it ends with the process
		say := json.NewEncoder(os.Stdout)
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			runtime.GC()
			runtime.GC() // what pools keep survives one
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if say.Encode(inside{Heap: m.HeapAlloc, Goroutines: runtime.NumGoroutine(), Done: done.Load()}) != nil {
				return
			}
		}
	}()
	return tasktier.Run(ctx, cfg, mux, tasktier.WithLogger(log))
}

// A node is one in a process of its own.
type node struct {
	t   *testing.T
	cmd *exec.Cmd
	ask io.Writer
	say *json.Decoder
}

// start starts a node with a configuration. Its log goes to a file.
func start(t *testing.T, config string, log *os.File) *node {
	t.Helper()
	n := &node{t: t, cmd: exec.Command(os.Args[0])}
	n.cmd.Env = append(os.Environ(), asNode+"=1", "TASKTIER_CONFIG="+config)
	n.cmd.Stderr = log
	var err error
	n.ask, err = n.cmd.StdinPipe()
	must(t, err)
	out, err := n.cmd.StdoutPipe()
	must(t, err)
	n.say = json.NewDecoder(out)
	must(t, n.cmd.Start())
	t.Cleanup(func() {
		_ = n.cmd.Process.Kill() // if the test has not stopped it
		_ = n.cmd.Wait()
	})
	return n
}

// inside asks the node.
func (n *node) inside() (is inside) {
	n.t.Helper()
	_, err := io.WriteString(n.ask, "look\n")
	must(n.t, err)
	must(n.t, n.say.Decode(&is))
	return is
}

// files is how many files it has open.
func (n *node) files() int {
	n.t.Helper()
	open, err := os.ReadDir("/proc/" + itoa(n.cmd.Process.Pid) + "/fd")
	must(n.t, err)
	return len(open)
}

// stop stops the node, which has to end well.
func (n *node) stop() {
	n.t.Helper()
	must(n.t, n.cmd.Process.Signal(syscall.SIGTERM))
	if err := n.cmd.Wait(); err != nil {
		n.t.Errorf("the node did not stop cleanly: %v", err)
	}
}
