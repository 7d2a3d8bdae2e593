package storm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/deadletter/lock"
	"github.com/tasktier/tasktier/internal/nap"
	"github.com/tasktier/tasktier/task"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// replayEvery is the time between two replays, and replayBatch the most letters of one: so there are always some left.
	replayEvery = 3 * time.Second
	replayBatch = 300
	replayRate  = 200 // letters a second, so that there is time to kill it
)

// beReplayer replays what operators can mend, in batches, until it is told to stop, and then what is left.
func beReplayer(o orders) error {
	ctx, stop := untilStopped()
	defer stop()
	cfg, err := o.config()
	if err != nil {
		return err
	}
	events, err := o.log() // it has nothing to say but that it lived: which letters were sent, Kafka knows
	if err != nil {
		return err
	}
	defer events.Close()
	redis, err := tasktier.RedisClient(*cfg.Redis)
	if err != nil {
		return err
	}
	defer redis.Close()
	etcd, err := tasktier.EtcdClient(*cfg.Etcd)
	if err != nil {
		return err
	}
	defer etcd.Close()
	opts, err := cfg.Kafka.Options()
	if err != nil {
		return err
	}
	store, err := deadletter.Open(deadletter.Config{Kafka: opts, Prefix: cfg.Kafka.Prefix, Claims: claim.NewStore(redis, cfg.Kafka.Prefix)})
	if err != nil {
		return err
	}
	defer store.Close()
	r := replayer{cfg: cfg, etcd: etcd, store: store}
	for nap.For(ctx, replayEvery) {
		if err := r.pass(ctx, replayBatch); err != nil {
			fmt.Fprintln(os.Stderr, err) // servers are away now and then; the next pass finishes the job
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return r.pass(last, 0)
}

type replayer struct {
	cfg   config.Config
	etcd  *clientv3.Client
	store *deadletter.Store
}

// pass replays up to limit letters of each kind and queue that can be mended, with the lock, as the command does.
func (r replayer) pass(ctx context.Context, limit int) error {
	var errs []error
	for queue := range r.cfg.Queues {
		for _, f := range []deadletter.Filter{
			{Error: mendable, Limit: limit},
			{Reasons: []task.Reason{task.ReasonPoison}, Limit: limit},
		} {
			errs = append(errs, r.replay(ctx, queue, f))
		}
	}
	return errors.Join(errs...)
}

func (r replayer) replay(ctx context.Context, queue string, f deadletter.Filter) error {
	// Whoever had the lock was killed, and has it for a while yet.
	l, err := lock.Take(ctx, r.etcd, r.cfg.Etcd.Prefix, queue, lock.Holder{PID: os.Getpid(), Since: time.Now()}, true)
	if err != nil {
		return err
	}
	defer l.Release(context.WithoutCancel(ctx)) //nolint:errcheck // it runs out
	replaying, cancel := context.WithCancel(l.Context())
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	result, err := r.store.Replay(replaying, queue, f, deadletter.ReplayOptions{Rate: replayRate, Patience: 10 * time.Second})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("replay %s: %w", queue, err)
	}
	if result.Matched > 0 {
		fmt.Fprintf(os.Stderr, "%s %s: %+v\n", time.Now().Format(time.TimeOnly), queue, result)
	}
	return nil
}
