package bench

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// waiting is how many records the queue has.
func (q queue) waiting(b *testing.B) int {
	b.Helper()
	cl := q.client(b)
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(b.Context(), names.Pending(q.name))
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	ends.Each(func(o kadm.ListedOffset) { n += int(o.Offset) })
	return n
}

// bareCalls produces and waits, with franz-go's defaults but for its lingering: acknowledged by all in-sync replicas,
// idempotent, compressed with Snappy.
type bareCalls struct {
	queue
	client *kgo.Client
}

func openBareCalls(b *testing.B, _ *servers) intake { return newBareCalls(b, kgo.ProducerLinger(0)) }

func newBareCalls(b *testing.B, options ...kgo.Opt) bareCalls {
	b.Helper()
	q := openQueue(b)
	s := bareCalls{q, q.client(b, options...)}
	b.Cleanup(s.client.Close)
	return s
}

func (s bareCalls) put(ctx context.Context, first, _ int) error {
	return s.client.ProduceSync(ctx, s.record(newMail(first))).FirstErr()
}

// bareAsync produces all and waits once. Keyed, each task's key decides upon its partition, so that 24 batches grow at a
// time; otherwise the client fills one for one partition and goes on with another one.
type bareAsync struct {
	bareCalls
	keyed bool
}

func openBareAsync(b *testing.B, _ *servers) intake      { return newBareAsync(b, false) }
func openBareAsyncKeyed(b *testing.B, _ *servers) intake { return newBareAsync(b, true) }

func newBareAsync(b *testing.B, keyed bool) intake {
	b.Helper()
	return bareAsync{newBareCalls(b, kgo.MaxBufferedRecords(100_000), kgo.ProducerLinger(5*time.Millisecond)), keyed}
}

func (s bareAsync) put(ctx context.Context, first, n int) error {
	var failed once
	for i := range n {
		r := s.record(newMail(first + i))
		if s.keyed {
			r.Key = strconv.AppendInt(nil, int64(first+i), 10)
		}
		s.client.Produce(ctx, r, func(_ *kgo.Record, err error) { failed.note(err) })
	}
	return errors.Join(s.client.Flush(ctx), failed.err)
}

// tasktierCalls is a producer at its default settings: Send returns when all in-sync replicas have the tasks.
type tasktierCalls struct {
	queue
	producer *producer.Producer
}

func openTasktierCalls(b *testing.B, _ *servers) intake { return newTasktierCalls(b) }

func newTasktierCalls(b *testing.B) tasktierCalls {
	b.Helper()
	s := newTasktier(b, openQueue(b), nil)
	return tasktierCalls{s.queue, s.producer}
}

func (s tasktierCalls) put(ctx context.Context, first, n int) error {
	tasks := make([]*task.Task, n)
	for i := range tasks {
		tasks[i] = email.New(newMail(first + i))
	}
	return s.producer.Send(ctx, tasks...)
}

// tasktierAsync hands all tasks over and waits for the last acknowledgement.
type tasktierAsync struct{ tasktierCalls }

func openTasktierAsync(b *testing.B, _ *servers) intake { return tasktierAsync{newTasktierCalls(b)} }

func (s tasktierAsync) put(ctx context.Context, first, n int) error {
	var failed once
	var under sync.WaitGroup
	under.Add(n)
	for i := range n {
		s.producer.SendAsync(ctx, email.New(newMail(first+i)), func(_ producer.Receipt, err error) {
			failed.note(err)
			under.Done()
		})
	}
	under.Wait()
	return failed.err
}

// watermillCalls is Watermill's publisher, which waits for the acknowledgement of each message, of several in one call too,
// so only many callers make large requests. By default it asks the partition's leader alone for it.
type watermillCalls struct {
	watermillSide
}

func openWatermillCalls(b *testing.B, _ *servers) intake {
	q := openQueue(b)
	return watermillCalls{watermillSide{queue: q, publisher: newWatermillPublisher(b, q)}}
}

func (s watermillCalls) put(ctx context.Context, first, _ int) error {
	return s.send(ctx, newMail(first))
}
