package storm

import (
	"context"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/schedule"
	"github.com/tasktier/tasktier/test/history"
)

// The schedule of a storm. Each of its ticks is to be run, whatever happens to its leader.
const (
	tickName  = "heart"
	tickEvery = 3 * time.Second
	tickCron  = "*/3 * * * * *"
	tickData  = `{"takes":5,"type":"tick"}` // as the configuration writes it, keys in order
)

var tickPlan = history.Plan{Type: tickType, Takes: 5}

// tick is the task of a tick, as the history names it.
func tick(at time.Time) history.Task {
	return history.Task{Queue: plainQueue, Source: schedule.Source, ID: fmt.Sprintf("%s@%s", tickName, at.UTC().Format(time.RFC3339))}
}

// announceTicks writes down, ahead of time (a leader's clock may be wrong), that the ticks will be sent, until ctx ends. It does not know when the schedule
// begins; acknowledgeTicks does, later.
func announceTicks(ctx context.Context, events *history.Writer) error {
	next := time.Now().Truncate(tickEvery)
	for {
		for ; next.Before(time.Now().Add(time.Minute)); next = next.Add(tickEvery) {
			if err := events.Write(history.Event{Kind: history.Sent, Task: tick(next), Hash: history.Hash([]byte(tickData)), Plan: &tickPlan}); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tickEvery):
		}
	}
}

// acknowledgeTicks writes down that from the first tick that was run on all had to be sent, up to a time.
func acknowledgeTicks(ran map[history.Task]bool, from, to time.Time, events *history.Writer) error {
	begun := false
	for at := from.Truncate(tickEvery); at.Before(to); at = at.Add(tickEvery) {
		begun = begun || ran[tick(at)]
		if !begun {
			continue
		}
		if err := events.Write(history.Event{Kind: history.Acknowledged, Task: tick(at)}); err != nil {
			return err
		}
	}
	return nil
}
