package storm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/task"
	"github.com/tasktier/tasktier/test/history"
	"github.com/twmb/franz-go/pkg/kgo"
)

// recordEvent reads a record without the product's own reading, which may be what is wrong.
func recordEvent(r *kgo.Record, queue string) history.Event {
	e := history.Event{
		Kind: history.Record, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Appended: history.At(r.Timestamp),
		Task: history.Task{Queue: queue}, Turn: 1, Attempt: 1, Key: string(r.Key), Tombstone: r.Value == nil,
	}
	if e.Tombstone {
		e.Turn, e.Attempt = 0, 0
		return e
	}
	e.Hash = history.Hash(r.Value)
	number := func(v []byte) int {
		n, err := strconv.Atoi(string(v))
		if err != nil {
			return -1 // no plan has that
		}
		return n
	}
	for _, h := range r.Headers {
		switch h.Key {
		case "ce_id":
			e.Task.ID = string(h.Value)
		case "ce_source":
			e.Task.Source = string(h.Value)
		case "ce_ttqueue":
			e.Task.Queue = string(h.Value)
		case "ce_ttdue":
			e.Due = history.At(time.UnixMilli(int64(number(h.Value))))
		case "ce_ttgeneration":
			e.Generation = number(h.Value)
		case "ce_ttturn":
			e.Turn = number(h.Value)
		case "ce_ttattempt":
			e.Attempt = number(h.Value)
		case "ce_ttreason":
			e.Reason = task.Reason(h.Value)
		}
	}
	return e
}

// collectClaims writes down the claims of the tasks.
func collectClaims(ctx context.Context, store *claim.Store, tasks []history.Task, events *history.Writer) error {
	const askers = 16
	errs := make([]error, askers)
	var asking sync.WaitGroup
	for a := range askers {
		asking.Go(func() {
			for i := a; i < len(tasks) && errs[a] == nil; i += askers {
				errs[a] = collectClaim(ctx, store, tasks[i], events)
			}
		})
	}
	asking.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("collect claims: %w", err)
	}
	return events.Write(history.Event{Kind: history.Collected, Name: "claims"})
}

func collectClaim(ctx context.Context, store *claim.Store, t history.Task, events *history.Writer) error {
	s, err := store.Get(ctx, claim.Identity{Queue: t.Queue, Source: t.Source, ID: t.ID})
	if errors.Is(err, claim.ErrUnknown) {
		return nil // there is none, which the end of the collection says
	}
	if err != nil {
		return err
	}
	e := history.Event{
		Kind: history.Claim, Task: t, State: s.State, Generation: s.Generation, Turn: s.Turn, Attempt: s.Attempt, Fence: s.Fence,
		Reason: s.Details.Reason, Result: string(s.Details.Result),
	}
	if s.State.Terminal() {
		e.Finished = history.At(s.At)
	}
	return events.Write(e)
}
