package consumer_test

import (
	"testing"
	"testing/synctest"

	"github.com/tasktier/tasktier/claim"
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
		s.send("job", 500)
		n := s.start(cfg)
		for range slots {
			g.await(t)
		}
		synctest.Wait()
		if got := c.running(); got != slots {
			t.Errorf("%d tasks are begun while %d run", got, slots)
		}
		close(g.open)
		s.await(500)
		n.halt()
	})
}

// Tasks that are quick are begun and finished in batches: Redis is called a few times per hundred of them.
func TestQuickTasksMakeBatches(t *testing.T) {
	const tasks = 20_000
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
