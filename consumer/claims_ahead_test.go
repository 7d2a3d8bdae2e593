package consumer_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

// running counts the claims that say so.
func (c *claims) running() (n int) {
	for _, text := range c.texts() {
		if got, err := claim.Parse(text); err == nil && got.State == claim.Running {
			n++
		}
	}
	return n
}

// What has no slot is left to other nodes: of tasks that take long none are begun beyond those that run.
func TestSlowTasksAreNotBegunAhead(t *testing.T) {
	const slots = 20
	play(t, 2, func(t *testing.T, s *stage) {
		c := newClaims(t)
		g := newGate()
		cfg := c.of(s.config(counting(t, newTally(), g.hold)))
		cfg.Concurrency = slots
		s.send("job", 100)
		n := s.start(cfg)
		for range slots {
			g.await(t)
		}
		synctest.Wait()
		if got := c.running(); got != slots {
			t.Errorf("%d tasks are begun while %d run", got, slots)
		}
		close(g.open)
		s.await(100)
		n.halt()
	})
}

// What was begun ahead, when tasks were quick, is given back when slow ones have taken all slots: else this node would keep
// it from the others, and have it share the blame should the process die.
func TestSlowTasksStrandNothing(t *testing.T) {
	const slots, slow, quick = 20, 100, 600
	play(t, 1, func(t *testing.T, s *stage) {
		c := newClaims(t)
		g := newGate()
		mux := consumer.NewMux()
		handle(t, mux, "quick", func(context.Context, *task.Task) error {
			time.Sleep(time.Millisecond)
			return nil
		})
		handle(t, mux, "slow", g.hold)
		cfg := c.of(s.config(mux))
		cfg.Concurrency = slots
		s.send("quick", quick)
		s.send("slow", slow)
		n := s.start(cfg)
		for range slots {
			g.await(t)
		}
		synctest.Wait()
		ahead := c.running() - slots
		if ahead <= 0 {
			t.Error("nothing was begun ahead: this shows nothing")
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := c.running(); got != slots {
			t.Errorf("%d tasks are begun while %d run; %d were begun ahead", got, slots, ahead)
		}
		close(g.open)
		s.await(quick + slow)
		n.halt()
	})
}

// Tasks that are quick are begun and finished in batches: Redis is called a few times per hundred of them.
func TestQuickTasksMakeBatches(t *testing.T) {
	const tasks = 4000
	play(t, 4, func(t *testing.T, s *stage) {
		c := newClaims(t)
		s.send("job", tasks)
		cfg := c.of(s.config(counting(t, newTally(), nothing)))
		n := s.start(cfg)
		s.await(tasks)
		n.halt()
		if calls := c.store.Calls(); calls > tasks/20 {
			t.Errorf("%d calls for %d tasks", calls, tasks)
		} else {
			t.Logf("%d calls for %d tasks", calls, tasks)
		}
	})
}
