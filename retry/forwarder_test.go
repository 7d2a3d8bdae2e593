package retry

import (
	"math/rand/v2"
	"testing"
	"time"
)

// soon returns n random dues within a time from now.
func soon(n int, within time.Duration) func(i int) time.Time {
	dues := make([]time.Time, n)
	for i := range dues {
		dues[i] = time.Now().Add(rand.N(within)).Truncate(time.Millisecond)
	}
	return func(i int) time.Time { return dues[i] }
}

func TestTasksComeBackOnTimeAndOnce(t *testing.T) {
	run := func(t *testing.T, s *stage, most time.Duration) {
		s.listen()
		s.start().ready(all)
		const n = 1000
		due := soon(n, 3*time.Second)
		s.wait(n, due)
		late := s.once(n, 0, due)
		t.Logf("the latest was %v late", late)
		if late > most {
			t.Errorf("a task came back %v late", late)
		}
	}
	t.Run("bubble", func(t *testing.T) {
		play(t, func(t *testing.T, s *stage) { run(t, s, 10*time.Millisecond) })
	})
	t.Run("kafka", func(t *testing.T) {
		s := onKafka(t)
		s.createTiers()
		run(t, s, 10*time.Second) // far more than a loaded machine needs
	})
}
