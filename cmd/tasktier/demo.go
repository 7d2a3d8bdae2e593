package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

// The types that 'tasktier dev' handles for those who have no handler yet.
var (
	demoEcho  = task.Define[[]byte]("demo.echo")
	demoSleep = task.Define[struct {
		MS int64 `json:"ms"`
	}]("demo.sleep")
	demoFail = task.Define[struct {
		Times int `json:"times"`
	}]("demo.fail")
	demoDead = task.Define[[]byte]("demo.dead")
)

// handleDemos registers the demo handlers, but for types that taken has a handler for.
func handleDemos(mux *consumer.Mux, taken func(typ string) bool) error {
	handlers := map[string]consumer.Handler{
		demoEcho.Name():  func(context.Context, *task.Task) error { return nil },
		demoSleep.Name(): sleep,
		demoFail.Name():  failAtFirst,
		demoDead.Name(): func(context.Context, *task.Task) error {
			return task.Permanent(errors.New("demo.dead always fails for good"))
		},
	}
	for typ, h := range handlers {
		if taken(typ) {
			continue
		}
		if err := mux.Handle(typ, h); err != nil {
			return err
		}
	}
	return nil
}

// withoutBreaker is types with the breaker of one turned off, unless its section says something of it: demo.fail fails by the
// number of the attempt, and sparing those would keep it from succeeding.
func withoutBreaker(types map[string]config.Type, typ string) map[string]config.Type {
	t := types[typ]
	if t.Breaker != nil {
		return types
	}
	t.Breaker = &config.Breaker{Enabled: false}
	changed := maps.Clone(types)
	if changed == nil {
		changed = make(map[string]config.Type)
	}
	changed[typ] = t
	return changed
}

// maxSleep is the longest that demo.sleep can be asked for: as milliseconds it fits a time.Duration.
const maxSleep = 24 * time.Hour

// sleep takes {"ms":n}.
func sleep(ctx context.Context, t *task.Task) error {
	p, err := demoSleep.Decode(t)
	if err != nil {
		return task.Permanent(err)
	}
	if p.MS < 0 || p.MS > maxSleep.Milliseconds() {
		return task.Permanent(fmt.Errorf("ms is %d, must be from 0 to %d", p.MS, maxSleep.Milliseconds()))
	}
	timer := time.NewTimer(time.Duration(p.MS) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// failAtFirst takes {"times":n}: it fails n attempts, then succeeds.
func failAtFirst(_ context.Context, t *task.Task) error {
	p, err := demoFail.Decode(t)
	if err != nil {
		return task.Permanent(err)
	}
	if t.Attempt <= p.Times {
		return fmt.Errorf("attempt %d of %d that fail", t.Attempt, p.Times)
	}
	return nil
}
