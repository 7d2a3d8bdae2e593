package retry

import (
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/tier"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestClockSteps: review with the times of a clock that steps. The slots whose time is to come are opened in it, also if
// they were closed in an hour that is now ahead again.
func TestClockSteps(t *testing.T) {
	base := time.Date(2026, 3, 1, 12, 0, 10, 0, time.UTC)
	for name, tt := range map[string]struct {
		steps []time.Duration // the clock, from base
		due   time.Duration   // of a task whose slot must be open then
	}{
		"steady":                    {[]time.Duration{0}, 30 * time.Minute},
		"an hour forward":           {[]time.Duration{0, time.Hour}, 70 * time.Minute},
		"an hour back":              {[]time.Duration{0, -time.Hour}, -30 * time.Minute},
		"forward and back":          {[]time.Duration{0, time.Hour, 0}, 30 * time.Minute},
		"forward and back, at once": {[]time.Duration{0, time.Hour, 0}, 0},
		"a lap forward and back":    {[]time.Duration{0, 90 * time.Minute, 0}, 20 * time.Minute},
		"back and forward":          {[]time.Duration{0, -time.Hour, 0}, 30 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := New(Config{Kafka: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, Fallback: "q"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				f.stopWriting()
				f.out.Close()
				close(f.ended)
				f.abandon()
				f.background.Wait()
			}()
			for i := range tier.Minute.Partitions {
				s := &slot{tier: tier.Minute, topic: f.topic(false), partition: i, progress: nothing}
				s.start = s.upcoming(base)
				f.slots[place{false, i}] = s
			}
			// settle lets all close that may: they were read, and nothing is in them.
			review := func(now time.Time) {
				f.review(now)
				for _, s := range f.slots {
					if s.opening != nil {
						s.opening.checked = now
					}
				}
				f.review(now)
			}
			for _, step := range tt.steps {
				for d := range 5 {
					review(base.Add(step).Add(time.Duration(d) * time.Second))
				}
			}
			due := base.Add(tt.due)
			now := base.Add(tt.steps[len(tt.steps)-1])
			for ; now.Before(due); now = now.Add(30 * time.Second) {
				review(now)
			}
			review(due)
			if s := f.slots[place{false, tier.Minute.Partition(due)}]; s.opening == nil {
				t.Errorf("the slot is not open; it opens at %v, %v after its time", s.start, s.start.Sub(due))
			}
		})
	}
}
