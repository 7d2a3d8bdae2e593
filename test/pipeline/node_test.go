package pipeline

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/task"
	"go.uber.org/zap"
)

// asNode makes the test binary a node: its value is the journal that the handlers write.
const asNode = "TASKTIER_TEST_NODE"

// TestMain turns the test binary into a node, or into an operator who replays letters, where a test asks for one.
func TestMain(m *testing.M) {
	if journal := os.Getenv(asNode); journal != "" {
		if err := beNode(journal); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if queue := os.Getenv(asReplayer); queue != "" {
		if err := beReplayer(queue); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// Tests mostly wait, for leases and for handlers: more of them run at a time than there are processors.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	testenv.Main(m)
}

const source = "/e2e"

var (
	// work takes its payload's time, unless its context ends.
	work = task.Define[workload]("work", task.Source(source))
	// deaf takes its time whatever its context says.
	deaf = task.Define[workload]("deaf", task.Source(source))
	// fatal takes its process down.
	fatal = task.Define[workload]("fatal", task.Source(source))
	// mended dies at once in its first generation, and is work after that.
	mended = task.Define[workload]("mended", task.Source(source))
	// locked is work whose journal has the token of its slot in place of its fence.
	locked = task.Define[workload]("locked", task.Source(source))
	// doomed dies at once, always.
	doomed = task.Define[workload]("doomed", task.Source(source))
)

// A workload's time is counted in steps that the process lives through: what it is paused for doesn't count.
type workload struct {
	Milliseconds int `json:"ms"`
}

const step = 10 * time.Millisecond

// do calls each after every step of the workload's time until that returns false.
func (w workload) do(each func() bool) {
	for left := time.Duration(w.Milliseconds) * time.Millisecond; left > 0; left -= step {
		<-time.After(min(left, step))
		if !each() {
			return
		}
	}
}

// beNode runs a node until SIGTERM. It logs to standard error.
func beNode(journal string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := config.Load("", os.Environ())
	if err != nil {
		return err
	}
	f, err := os.OpenFile(journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	mux := consumer.NewMux()
	for _, err := range []error{
		consumer.Handle(mux, work, journaled(f, func(ctx context.Context, w workload) error {
			w.do(func() bool { return ctx.Err() == nil })
			return ctx.Err()
		})),
		consumer.Handle(mux, deaf, journaled(f, func(_ context.Context, w workload) error {
			w.do(func() bool { return true })
			return nil
		})),
		consumer.Handle(mux, fatal, journaled(f, func(_ context.Context, w workload) error {
			w.do(func() bool { return true })
			os.Exit(crashed)
			return nil
		})),
		consumer.Handle(mux, mended, journaled(f, func(ctx context.Context, w workload) error {
			if task.From(ctx).Generation == 0 {
				return errBroken
			}
			w.do(func() bool { return ctx.Err() == nil })
			return ctx.Err()
		})),
		consumer.Handle(mux, locked, func(ctx context.Context, w workload) error {
			id := task.From(ctx).ID
			token, _ := task.Slot(ctx)
			if err := note(f, started, id, token, nil); err != nil {
				return err
			}
			w.do(func() bool { return ctx.Err() == nil })
			return errors.Join(note(f, ended, id, token, context.Cause(ctx)), ctx.Err())
		}),
		consumer.Handle(mux, doomed, journaled(f, func(context.Context, workload) error { return errBroken })),
	} {
		if err != nil {
			return err
		}
	}
	log, err := zap.NewProductionConfig().Build()
	if err != nil {
		return err
	}
	return tasktier.Run(ctx, cfg, mux, tasktier.WithLogger(log))
}

var errBroken = task.Permanent(errors.New("what it needs is broken"))

// crashed is the exit code of a process that a handler took down.
const crashed = 7

// journaled wraps a handler: the journal says when it starts and how it ends. Its result is the name of its run.
func journaled(f *os.File, h func(context.Context, workload) error) func(_ context.Context, w workload) error {
	return func(ctx context.Context, w workload) error {
		id, fence := task.From(ctx).ID, task.Fence(ctx)
		if err := note(f, started, id, fence, nil); err != nil {
			return err
		}
		if err := task.Result(ctx, fmt.Append(nil, os.Getpid())); err != nil {
			return err
		}
		err := h(ctx, w)
		how := ended
		if err != nil {
			how = gaveUp
		}
		if wrote := note(f, how, id, fence, context.Cause(ctx)); wrote != nil {
			return wrote
		}
		return err
	}
}
