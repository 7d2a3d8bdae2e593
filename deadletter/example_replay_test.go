package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/deadletter/lock"
	"github.com/twmb/franz-go/pkg/kgo"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A service replays what died of an outage when that is over: a few letters first, and the others only if they do well. The
// lock tells operators that it is at it.
func ExampleStore_Replay() {
	replay := func(ctx context.Context, etcd *clientv3.Client, tasks redis.UniversalClient, since time.Time) (deadletter.ReplayResult, error) {
		host, _ := os.Hostname()
		l, err := lock.Take(ctx, etcd, "/tasktier", "mail", lock.Holder{Host: host, PID: os.Getpid(), Since: time.Now()}, false)
		if err != nil {
			return deadletter.ReplayResult{}, err // a *lock.HeldError says who is at it
		}
		defer l.Release(ctx) //nolint:errcheck // it runs out by itself
		ctx, cancel := context.WithCancelCause(ctx)
		defer context.AfterFunc(l.Context(), func() { cancel(context.Cause(l.Context())) })()

		letters, err := deadletter.Open(deadletter.Config{
			Kafka:  []kgo.Opt{kgo.SeedBrokers("127.0.0.1:9092")},
			Claims: claim.NewStore(tasks, "tasktier"),
		})
		if err != nil {
			return deadletter.ReplayResult{}, err
		}
		defer letters.Close()
		return letters.Replay(ctx, "mail", deadletter.Filter{
			Types:       []string{"mail.send"},
			ErrorRegexp: regexp.MustCompile(`connection refused|i/o timeout`),
			Since:       since,
		}, deadletter.ReplayOptions{
			Rate:   500,
			Canary: deadletter.Canary{Letters: 20, StopAt: 10, Timeout: time.Minute},
			Left:   func(l *deadletter.Letter, why error) { fmt.Println(l.ID(), "is left:", why) },
		})
	}

	report := func(result deadletter.ReplayResult, err error) {
		switch {
		case errors.Is(err, deadletter.ErrCanary):
			fmt.Println("the outage is not over:", err)
		case err != nil:
			fmt.Printf("%d of %d letters were replayed, call it again for the others: %v\n", result.Replayed, result.Matched, err)
		default:
			fmt.Printf("%d tasks are back\n", result.Replayed)
		}
	}
	_, _ = replay, report
}
