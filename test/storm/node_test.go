package storm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
	"github.com/tasktier/tasktier/test/history"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// beNode runs a node whose handlers do what their tasks' plans say.
func beNode(o orders) error {
	ctx, stop := untilStopped()
	defer stop()
	cfg, err := o.config()
	if err != nil {
		return err
	}
	cfg.Node.Name = o.Process
	events, err := o.log()
	if err != nil {
		return err
	}
	defer events.Close()
	mux := consumer.NewMux()
	for _, typ := range []string{plainType, lockedType, scarceType, lineType, tickType} {
		if err := mux.Handle(typ, func(ctx context.Context, t *task.Task) error {
			var p history.Plan
			if err := json.Unmarshal(t.Payload, &p); err != nil {
				return fmt.Errorf("read plan of %s: %w", t.ID, err)
			}
			return events.Handle(ctx, func(ctx context.Context) error { return perform(ctx, t, p) })
		}); err != nil {
			return err
		}
	}
	var begun atomic.Bool
	log, err := zap.NewProductionConfig().Build(zap.Hooks(events.Hook, func(e zapcore.Entry) error {
		if e.Message == runs {
			begun.Store(true)
		}
		return nil
	}))
	if err != nil {
		return err
	}
	err = tasktier.Run(ctx, cfg, mux, tasktier.WithLogger(log))
	if err != nil && !begun.Load() {
		return fmt.Errorf("%w: %w", errNotBegun, err)
	}
	return err
}

// runs is what a node logs when it begins to work.
const runs = "node runs"

// errNotBegun says that a node could not begin: servers were away. Whoever started it does so again.
var errNotBegun = errors.New("the node has not begun")

// step is how often a handler looks at its context. What its process is paused for does not count.
const step = 10 * time.Millisecond

var (
	errFlaky    = errors.New("it has no luck yet")
	errHopeless = errors.New("it never has luck")
	errBroken   = errors.New("what it needs is broken")
)

// mendable is in the error of what an operator can mend, and replays.
const mendable = "an operator can mend it"

// perform is the handler of all types.
func perform(ctx context.Context, t *task.Task, p history.Plan) error {
	for left := time.Duration(p.Takes) * time.Millisecond; left > 0; left -= step {
		<-time.After(min(left, step))
		if !p.Deaf && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if p.Takes > 1000 {
			task.Progress(ctx, 1-float64(left)/float64(p.Takes)/float64(time.Millisecond), "at it")
		}
	}
	fatal := func(err error) error {
		if t.Generation < p.Mended {
			return fmt.Errorf("%w; %s", err, mendable)
		}
		return err
	}
	end := p.End
	if p.Mended > 0 && t.Generation >= p.Mended {
		end = ""
	}
	switch {
	case p.Snoozes > 0 && t.Turn-t.Attempt < p.Snoozes:
		return task.Snooze(time.Duration(100+50*t.Turn) * time.Millisecond)
	case t.Attempt <= p.Fails && t.Attempt%2 == 0:
		return task.RetryAfter(150*time.Millisecond, errFlaky)
	case t.Attempt <= p.Fails:
		return errFlaky
	case end == task.ReasonPoison:
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case end == task.ReasonFailed:
		return task.Permanent(fatal(errBroken))
	case end == task.ReasonExhausted:
		return fatal(errHopeless)
	}
	return nil
}
