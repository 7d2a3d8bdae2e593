package claim

import (
	"context"

	"github.com/tasktier/tasktier/task"
)

// A Census is how many tasks of a queue are in the states that come and go. It does not tell those that wait in Kafka.
type Census struct {
	// Running is asked of the nodes; Retrying and Scheduled are counted in the indexes.
	Running, Retrying, Scheduled int
	// Open are the states of which there may be more: an index holds 10,000 tasks, and a node tells 1,000 of those it runs.
	Open []task.State
}

// Census counts tasks of queues. silent is how many nodes did not say in time what they run, as in [Listing]. For each task
// that retries or is scheduled Redis reads a claim.
func (s *Store) Census(ctx context.Context, queues ...string) (of map[string]Census, silent int, err error) {
	reports, silent, err := s.ask(ctx)
	if err != nil {
		return nil, 0, err
	}
	running, more := make(map[string]int), false
	for _, r := range reports {
		more = more || len(r.Running) == mostReported
		for _, e := range r.Running {
			running[e.Queue]++
		}
	}
	of = make(map[string]Census, len(queues))
	for _, queue := range queues {
		c := Census{Running: running[queue]}
		if more {
			c.Open = append(c.Open, task.Running)
		}
		for _, waits := range []struct {
			state task.State
			n     *int
		}{{task.Retrying, &c.Retrying}, {task.Scheduled, &c.Scheduled}} {
			entries, full, err := s.indexed(ctx, Filter{Queue: queue, State: waits.state, Limit: indexLimit}, waits.state)
			if err != nil {
				return nil, 0, err
			}
			if *waits.n = len(entries); full {
				c.Open = append(c.Open, waits.state)
			}
		}
		of[queue] = c
	}
	return of, silent, nil
}
