package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/requeuer"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/hibiken/asynq"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/tasktier/tasktier/internal/names"
)

// asynqRevival runs all archived tasks by one script in Redis, which serves nobody else meanwhile.
type asynqRevival struct {
	asynqCalls
	inspector *asynq.Inspector
}

func openAsynqRevival(b *testing.B, on *servers) revival {
	s := asynqRevival{asynqCalls: openAsynqCalls(b, on).(asynqCalls)}
	s.inspector = asynq.NewInspector(s.redis)
	b.Cleanup(func() {
		if err := s.inspector.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func (s asynqRevival) bury(b *testing.B, n int) {
	b.Helper()
	s.fill(b, n)
	if dead, err := s.inspector.ArchiveAllPendingTasks(s.queue); err != nil || dead != n {
		b.Fatalf("archived %d tasks, want %d: %v", dead, n, err)
	}
}

func (s asynqRevival) revive(b *testing.B, _ int) time.Duration {
	b.Helper()
	return timed(b, func(context.Context) error {
		_, err := s.inspector.RunAllArchivedTasks(s.queue)
		return err
	})
}

// riverRevival lists the discarded jobs and retries each one, which is what River has; here in transactions of 500, four at a
// time. The server's own function for it is a call for each job.
type riverRevival struct{ riverCalls }

func openRiverRevival(b *testing.B, on *servers) revival { return riverRevival{newRiverCalls(b, on)} }

func (s riverRevival) bury(b *testing.B, n int) {
	b.Helper()
	s.fill(b, n)
	s.exec(b, "UPDATE river_job SET state = 'discarded', attempt = max_attempts, attempted_at = now(), finalized_at = now()")
	s.exec(b, "VACUUM (ANALYZE) river_job")
}

func (s riverRevival) revive(b *testing.B, n int) time.Duration {
	b.Helper()
	return timed(b, func(ctx context.Context) error {
		dead, err := s.client.JobList(ctx, river.NewJobListParams().States(rivertype.JobStateDiscarded).First(n))
		if err != nil {
			return err
		}
		chunks := make(chan []*rivertype.JobRow)
		var retrying sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			retrying.Go(func() {
				for jobs := range chunks {
					errs[i] = errors.Join(errs[i], s.retry(ctx, jobs))
				}
			})
		}
		for jobs := range slices.Chunk(dead.Jobs, 500) {
			chunks <- jobs
		}
		close(chunks)
		retrying.Wait()
		return errors.Join(errs...)
	})
}

func (s riverRevival) retry(ctx context.Context, jobs []*rivertype.JobRow) error {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return err
	}
	for _, job := range jobs {
		if _, err := s.client.JobRetryTx(ctx, tx, job.ID); err != nil {
			return errors.Join(err, tx.Rollback(ctx))
		}
	}
	return tx.Commit(ctx)
}

// watermillRevival is Watermill's requeuer: a router that publishes again what comes in a topic, such as the one to which
// its poison queue writes. It is a service that goes on; it chooses nothing and knows no end.
type watermillRevival struct{ watermillCalls }

func openWatermillRevival(b *testing.B, on *servers) revival {
	return watermillRevival{openWatermillCalls(b, on).(watermillCalls)}
}

func (s watermillRevival) bury(b *testing.B, n int) {
	b.Helper()
	s.fillTopic(b, names.Dead(s.name), n)
}

// revive measures from the first message that comes: a requeuer runs already, and has joined its group.
func (s watermillRevival) revive(b *testing.B, n int) (took time.Duration) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	from, err := s.subscriber(names.Dead(s.name))
	if err != nil {
		b.Fatal(err)
	}
	var begun sync.Once
	var start time.Time
	back := &counting{Publisher: s.publisher, want: int64(n), done: func() {
		took = time.Since(start)
		cancel()
	}}
	r, err := requeuer.NewRequeuer(requeuer.Config{
		Subscriber: from, SubscribeTopic: names.Dead(s.name), Publisher: back,
		GeneratePublishTopic: func(requeuer.GeneratePublishTopicParams) (string, error) {
			begun.Do(func() { start = time.Now() })
			return names.Pending(s.name), nil
		},
	}, watermill.NopLogger{})
	if err == nil {
		err = errors.Join(r.Run(ctx), from.Close())
	}
	if err == nil && took == 0 {
		err = fmt.Errorf("%d messages of %d came back", back.published.Load(), n)
	}
	if err != nil {
		b.Fatal(err)
	}
	return took
}

// counting calls done when so many messages were published.
type counting struct {
	message.Publisher
	published atomic.Int64
	want      int64
	done      func()
}

func (c *counting) Publish(topic string, messages ...*message.Message) error {
	err := c.Publisher.Publish(topic, messages...)
	if err == nil && c.published.Add(int64(len(messages))) == c.want {
		c.done()
	}
	return err
}
