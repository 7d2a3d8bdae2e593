package bench

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/tasktier/tasktier/internal/testenv"
)

// A server of asynq takes its tasks from Redis one at a time, one call each, so no setting but the interval at which it
// looks at an empty queue changes much: from 10 to 1,000 handlers measured the same. What helps is to run several servers
// in the process; past four there was nothing to gain on two cores.
var (
	asynqBest     = asynqSettings{servers: 1, cfg: asynq.Config{Concurrency: concurrency, TaskCheckInterval: time.Millisecond}}
	asynqFour     = asynqSettings{servers: 4, cfg: asynq.Config{Concurrency: concurrency / 4, TaskCheckInterval: time.Millisecond}}
	asynqDefaults = asynqSettings{servers: 1}
	// How often it looks for delayed tasks whose time has come may be set to anything; by default it is 5 s. It keeps the time
	// of a task in whole seconds, rounded down: the more often it looks, the more of them start early, by up to a second.
	asynqPunctual = asynqSettings{servers: 1, cfg: asynq.Config{
		Concurrency: concurrency, TaskCheckInterval: time.Millisecond, DelayedTaskCheckInterval: time.Millisecond,
	}}
)

type asynqSettings struct {
	servers     int
	cfg         asynq.Config
	connections int // 0: asynq's default, ten for each core
}

type asynqSide struct {
	asynqSettings
	redis  asynq.RedisClientOpt
	client *asynq.Client
	queue  string
}

// openAsynq uses a Redis database of its own, which holds nothing else, on the server that all sides share.
func openAsynq(set asynqSettings) func(*testing.B, *servers) system {
	return func(b *testing.B, _ *servers) system {
		s := asynqSide{asynqSettings: set, queue: testenv.Unique(b)}
		s.redis = asynq.RedisClientOpt{Addr: testenv.Redis(b), DB: 1, PoolSize: set.connections}
		s.cfg.Queues = map[string]int{s.queue: 1}
		s.cfg.LogLevel = asynq.ErrorLevel
		s.client = asynq.NewClient(s.redis)
		b.Cleanup(func() {
			if err := s.client.Close(); err != nil {
				b.Error(err)
			}
		})
		return s
	}
}

func (s asynqSide) fill(b *testing.B, n int) {
	b.Helper()
	var next atomic.Int64
	var senders sync.WaitGroup
	for range 64 {
		senders.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := s.send(b.Context(), newMail(int(i))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
}

func (s asynqSide) send(ctx context.Context, m mail) error { return s.enqueue(ctx, m) }

func (s asynqSide) sendAt(ctx context.Context, m mail, at time.Time) error {
	return s.enqueue(ctx, m, asynq.ProcessAt(at))
}

func (s asynqSide) enqueue(ctx context.Context, m mail, options ...asynq.Option) error {
	payload, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = s.client.EnqueueContext(ctx, asynq.NewTask(kind, payload), append(options, asynq.Queue(s.queue))...)
	return err
}

func (s asynqSide) run(ctx context.Context, handle func(mail)) error {
	handler := asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		var m mail
		if err := json.Unmarshal(t.Payload(), &m); err != nil {
			return err
		}
		handle(m)
		return nil
	})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var servers sync.WaitGroup
	defer servers.Wait()
	for range s.servers {
		server := asynq.NewServer(s.redis, s.cfg)
		if err := server.Start(handler); err != nil {
			stop()
			return err
		}
		servers.Go(func() {
			<-ctx.Done()
			server.Shutdown()
		})
	}
	return nil
}
