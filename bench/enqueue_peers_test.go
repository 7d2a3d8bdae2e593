package bench

import (
	"context"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/riverqueue/river"
)

// asynqCalls has a connection for each caller, which was better than fewer. asynq has no calls for several tasks.
type asynqCalls struct{ asynqSide }

func openAsynqCalls(b *testing.B, on *servers) intake {
	set := asynqDefaults
	set.connections = callers
	return asynqCalls{openAsynq(set)(b, on).(asynqSide)}
}

func (s asynqCalls) put(ctx context.Context, first, _ int) error { return s.send(ctx, newMail(first)) }

func (s asynqCalls) waiting(b *testing.B) int { return s.count(b).Pending }

// count is how many tasks the queue has, by state.
func (s asynqSide) count(b *testing.B) *asynq.QueueInfo {
	b.Helper()
	i := asynq.NewInspector(s.redis)
	defer i.Close()
	info, err := i.GetQueueInfo(s.queue)
	if err != nil {
		b.Fatal(err)
	}
	return info
}

// riverCalls inserts jobs one by one, each in a transaction of its own. Of 4 to 100 connections, 16 were best.
type riverCalls struct{ riverSide }

func openRiverCalls(b *testing.B, on *servers) intake { return newRiverCalls(b, on) }

func newRiverCalls(b *testing.B, on *servers) riverCalls {
	b.Helper()
	return riverCalls{openRiver(riverSettings{workers: 1, connections: 16})(b, on).(riverSide)}
}

func (s riverCalls) put(ctx context.Context, first, _ int) error { return s.send(ctx, newMail(first)) }

func (s riverCalls) waiting(b *testing.B) int { return s.count(b, "available") }

// count is how many jobs are in a state.
func (s riverSide) count(b *testing.B, state string) (n int) {
	b.Helper()
	err := s.pool.QueryRow(b.Context(), "SELECT count(*) FROM river_job WHERE state = $1", state).Scan(&n)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// riverBatches inserts thousands of jobs a call by COPY, without returning them.
type riverBatches struct{ riverCalls }

func openRiverBatches(b *testing.B, on *servers) intake { return riverBatches{newRiverCalls(b, on)} }

func (s riverBatches) put(ctx context.Context, first, n int) error {
	jobs := make([]river.InsertManyParams, n)
	for i := range jobs {
		jobs[i].Args = newMail(first + i)
	}
	_, err := s.client.InsertManyFast(ctx, jobs)
	return err
}
