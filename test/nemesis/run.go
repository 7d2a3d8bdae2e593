package nemesis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tasktier/tasktier/test/internal/realtime"
)

// An Event is the beginning or the end of a fault, for the history.
type Event struct {
	Number int // of the fault, from 1: the two events of one have the same
	Phase  Phase
	Fault  Fault
	Whom   string // the target, or who played its role
	// From and Until bound the moment: the harm was done, or mended, between the two. Real time, whatever the fault does to
	// clocks.
	From, Until time.Time
	Err         error // why it was skipped or failed
}

// A Phase is what an event tells.
type Phase string

// The phases of a fault: it begins and is mended, or it is skipped because there was nobody to hit. Failed ends a run: it
// could not be done, or not be mended.
const (
	Begun   Phase = "begun"
	Mended  Phase = "mended"
	Skipped Phase = "skipped"
	Failed  Phase = "failed"
)

// mendLimit is how long mending may take, each fault by itself.
const mendLimit = 2 * time.Minute

// A Runner carries plans out.
type Runner struct {
	// Tell is told of every event, one at a time. Nil: nobody is.
	Tell func(Event)
	// Settle is called after each round, when all is mended and before its calm, and returns when the system is well
	// again, or with an error if it does not get well, which ends the run. Nil: calm alone has to do.
	Settle func(ctx context.Context) error

	telling sync.Mutex
	faults  int
}

// Run carries the plan out. It returns when all is mended: after the last round, at the first error, or when ctx ends,
// which is no error. Nothing runs on behind it.
func (r *Runner) Run(ctx context.Context, plan Plan) error {
	for i, round := range plan.Rounds {
		if err := r.round(ctx, round); err != nil {
			return fmt.Errorf("run round %d of plan %d: %w", i+1, plan.Seed, err)
		}
		if r.Settle != nil && ctx.Err() == nil {
			if err := r.Settle(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("settle after round %d of plan %d: %w", i+1, plan.Seed, err)
			}
		}
		if !wait(ctx, round.Calm) {
			break
		}
	}
	return nil
}

// round runs the faults of a round beside each other. The first that fails ends the others.
func (r *Runner) round(ctx context.Context, round Round) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(round.Steps))
	var all sync.WaitGroup
	for i, s := range round.Steps {
		r.faults++
		number := r.faults
		all.Go(func() {
			if errs[i] = r.step(ctx, number, s); errs[i] != nil {
				cancel()
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (r *Runner) step(ctx context.Context, number int, s Step) error {
	if !wait(ctx, s.After) {
		return nil
	}
	event := Event{Number: number, Fault: s.Fault, Whom: s.Fault.Target, From: realtime.Now()}
	wound, err := s.Fault.Hit(ctx)
	event.Until = realtime.Now()
	if err != nil {
		event.Err, event.Phase = err, Failed
		switch {
		case errors.Is(err, ErrBusy):
			event.Phase, err = Skipped, nil
		case ctx.Err() != nil:
			event.Phase, err = Skipped, nil // it was told to give up
		default:
			err = fmt.Errorf("begin %s: %w", s.Fault, err)
		}
		r.tell(event)
		return err
	}
	if wound.Whom != "" {
		event.Whom = wound.Whom
	}
	event.Phase = Begun
	r.tell(event)

	wait(ctx, s.Lasts)
	mending, cancel := context.WithTimeout(context.WithoutCancel(ctx), mendLimit)
	defer cancel()
	event.Phase, event.From = Mended, realtime.Now()
	err = wound.Mend(mending)
	event.Until = realtime.Now()
	if err != nil {
		event.Err, event.Phase = err, Failed
		err = fmt.Errorf("end %s: %w", s.Fault, err)
	}
	r.tell(event)
	return err
}

func (r *Runner) tell(e Event) {
	if r.Tell == nil {
		return
	}
	r.telling.Lock()
	defer r.telling.Unlock()
	r.Tell(e)
}

// wait returns after d, or false when ctx ends.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
