package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// tasktierRevival is a consumer whose tasks die, and a store that replays their letters: it reads the topic, asks the claims
// where there are some, sends each task and takes its letter away.
type tasktierRevival struct {
	tasktier
	claims *claim.Store // nil: none
}

func openTasktierRevival(b *testing.B, on *servers) revival {
	return tasktierRevival{tasktier: openTasktier(b, on).(tasktier)}
}

func openTasktierClaimsRevival(b *testing.B, _ *servers) revival {
	s, store := newTasktierClaims(b)
	return tasktierRevival{s, store}
}

func (s tasktierRevival) bury(b *testing.B, n int) {
	b.Helper()
	s.fill(b, n)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	var died atomic.Int64
	err := s.serve(ctx, func(context.Context, mail) error {
		if died.Add(1) == int64(n) {
			cancel() // what was started is brought to its end
		}
		return task.Permanent(errors.New("connection refused"))
	})
	if err == nil && died.Load() < int64(n) {
		err = fmt.Errorf("%d tasks of %d died", died.Load(), n)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func (s tasktierRevival) revive(b *testing.B, n int) time.Duration {
	b.Helper()
	store, err := deadletter.Open(deadletter.Config{Kafka: []kgo.Opt{kgo.SeedBrokers(s.brokers...)}, Claims: s.claims})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	return timed(b, func(ctx context.Context) error {
		result, err := store.Replay(ctx, s.name, deadletter.Filter{}, deadletter.ReplayOptions{})
		if err == nil && result.Replayed != n {
			err = fmt.Errorf("replayed %d letters, want %d: %+v", result.Replayed, n, result)
		}
		return err
	})
}
