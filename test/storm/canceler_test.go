package storm

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/task"
	"github.com/tasktier/tasktier/test/history"
)

// beCanceler cancels the tasks that are to be, each at its time, until it is told to stop.
func beCanceler(o orders) error {
	ctx, stop := untilStopped()
	defer stop()
	cfg, err := o.config()
	if err != nil {
		return err
	}
	events, err := o.log()
	if err != nil {
		return err
	}
	defer events.Close()
	redis, err := tasktier.RedisClient(*cfg.Redis)
	if err != nil {
		return err
	}
	defer redis.Close()
	store := claim.NewStore(redis, cfg.Kafka.Prefix)
	var walks []walk
	for p := range o.Load.Producers {
		for _, lag := range cancelLags {
			walks = append(walks, walk{producer: p, lag: lag, only: func(a assignment) bool { return a.cancel == lag }})
		}
	}
	return o.Load.walk(ctx, walks, func(_ walk, a assignment) error { return cancel(ctx, events, store, a) })
}

// cancelPatience bounds one wish. While Redis is away wishes are given up, as an operator would.
const cancelPatience = 4 * time.Second

func cancel(ctx context.Context, events *history.Writer, store *claim.Store, a assignment) error {
	if err := events.Write(history.Event{Kind: history.Cancel, Task: a.name()}); err != nil {
		return err
	}
	ctx, end := context.WithTimeout(ctx, cancelPatience)
	defer end()
	c, err := store.Cancel(ctx, claim.Identity{Queue: a.queue, Source: source, ID: a.id}, claim.Window{})
	if err != nil {
		fmt.Fprintf(os.Stderr, "cancel %s: %v\n", a.id, err)
		return nil // not answered: it may be canceled or not
	}
	e := history.Event{Kind: history.Answered, Task: a.name(), Before: c.Before, State: c.After, Asked: c.Asked}
	if c.After == "" {
		e.State = task.Canceled
	}
	return events.Write(e)
}
