package deadletter_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// work does what nodes would do with the claims of tasks that come back, in their order, until the test ends: state says how
// the n-th ends, 0 for one that nobody begins.
func (r *revival) work(state func(n int) claim.State) {
	r.t.Helper()
	reader, err := kgo.NewClient(kgo.SeedBrokers(r.addrs...), kgo.ConsumeTopics(names.Pending(r.queue)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(r.t.Context())
	var working sync.WaitGroup
	r.t.Cleanup(func() {
		stop()
		working.Wait()
		reader.Close()
	})
	working.Go(func() {
		for n := 0; ; {
			fetches := reader.PollFetches(ctx)
			if ctx.Err() != nil {
				return
			}
			for _, rec := range fetches.Records() {
				var tk task.Task
				if err := record.Decode(rec, &tk); err != nil {
					r.t.Error(err)
					return
				}
				if s := state(n); s != 0 {
					r.claimed(tk.ID, s, tk.Generation)
				}
				n++
			}
		}
	})
}

// dead are letters whose claims say so.
func (r *revival) dead(n int) {
	r.t.Helper()
	r.bury(many(n)...)
	pipe := r.redis.Pipeline()
	for _, d := range many(n) {
		c := claim.Claim{State: claim.Dead, Turn: 3, Attempt: 4, Owner: "somebody", Fence: 1, Type: "mail.send"}
		pipe.Set(r.t.Context(), r.key(d.id), c.String(), time.Hour)
	}
	if _, err := pipe.Exec(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// Of twenty canaries so many die; the others follow if fewer than a tenth do.
func TestCanary(t *testing.T) {
	const n, birds = 200, 20
	end := func(bad int, state claim.State) func(int) claim.State {
		return func(i int) claim.State {
			if i < bad {
				return state
			}
			return claim.Succeeded
		}
	}
	for _, tt := range []struct {
		name  string
		state func(int) claim.State
		stops bool
		want  deadletter.CanaryResult
	}{
		{"all succeed", end(0, 0), false, deadletter.CanaryResult{Succeeded: 20}},
		{"one dies", end(1, claim.Dead), false, deadletter.CanaryResult{Succeeded: 19, Dead: 1}},
		{"two die", end(2, claim.Dead), true, deadletter.CanaryResult{Succeeded: 18, Dead: 2}},
		{"all die", end(birds, claim.Dead), true, deadletter.CanaryResult{Dead: 20}},
		{"two are dying", end(2, claim.Dying), true, deadletter.CanaryResult{Succeeded: 18, Waiting: 2}},
		{"many are canceled", end(15, claim.Canceled), false, deadletter.CanaryResult{Succeeded: 5, Canceled: 15}},
		{"one waits", end(1, claim.Retrying), false, deadletter.CanaryResult{Succeeded: 19, Waiting: 1, Retrying: 1}},
		{"two wait", end(2, claim.Retrying), true, deadletter.CanaryResult{Succeeded: 18, Waiting: 2, Retrying: 2}},
		{"none is begun", end(birds, 0), true, deadletter.CanaryResult{Waiting: 20}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			on(t, 2, func(t *testing.T, g *ground) {
				r := g.revive(redisInMemory(t), 1)
				r.dead(n)
				r.work(tt.state)
				timeout := time.Minute // it is clear before
				if tt.want.Waiting > 0 {
					timeout = 2 * time.Second
				}
				result, err := r.store.Replay(t.Context(), r.queue, everything, deadletter.ReplayOptions{
					Canary: deadletter.Canary{Letters: birds, Timeout: timeout},
				})
				if errors.Is(err, deadletter.ErrCanary) != tt.stops || err != nil && !tt.stops {
					t.Errorf("error %v", err)
				}
				tt.want.Letters, tt.want.Stopped = birds, tt.stops
				if got := result.Canary; got == nil {
					t.Error("nothing is said of the canary")
				} else if *got != tt.want && got.Dead+got.Succeeded+got.Canceled == birds-tt.want.Waiting { // else it was clear early
					t.Errorf("the canary %+v, want %+v", *got, tt.want)
				}
				back := n
				if tt.stops {
					back = birds
				}
				if result.Matched != n || result.Replayed != back || len(r.pending()) != back || len(r.list(everything)) != n-back {
					t.Errorf("%+v", result)
				}
				if tt.stops && !strings.Contains(err.Error(), "it stops at 10 %") {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// A canary among fewer letters than it asks for is watched all the same, and letters that are not sent are none.
func TestCanaryOfFew(t *testing.T) {
	withClaims(t, func(t *testing.T, r *revival) {
		r.dead(10)
		for _, id := range []string{"0", "1", "2"} {
			r.claimed(id, claim.Succeeded, 0)
		}
		r.work(func(int) claim.State { return claim.Dead })
		result, err := r.store.Replay(t.Context(), r.queue, everything, deadletter.ReplayOptions{Canary: deadletter.Canary{Letters: 50, StopAt: 50}})
		if !errors.Is(err, deadletter.ErrCanary) || result.Canary == nil || result.Canary.Letters != 7 || result.Replayed != 7 || result.Skipped != 3 {
			t.Errorf("%+v, %v", result, err)
		}
	})
}
