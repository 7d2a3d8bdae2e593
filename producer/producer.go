package producer

import (
	"context"
	"fmt"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Producer publishes tasks to Kafka. Make one per process with [New] and share it: all methods are safe for
// concurrent use, and tasks of concurrent calls share requests.
type Producer struct {
	cfg        Config
	topic      string // of cfg.Queue
	client     *kgo.Client
	budget     *budget
	dispatcher *dispatcher
	dials      *dials
	closed     chan struct{} // closed when Close has done its work
}

// New returns a Producer. It does not connect: brokers that can't be reached are reported by the first send whose
// context ends. Call [Producer.Close] when done.
func New(cfg Config) (*Producer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("configure producer: %w", err)
	}
	p := &Producer{
		cfg:        cfg,
		topic:      names.Pending(cfg.Queue),
		budget:     newBudget(cfg.BufferBytes),
		dispatcher: newDispatcher(),
		dials:      newDials(),
		closed:     make(chan struct{}),
	}
	p.client, err = kgo.NewClient(append(cfg.options(), kgo.WithHooks(p.dials))...)
	if err != nil {
		return nil, fmt.Errorf("configure producer: %w", err)
	}
	go p.dispatcher.run()
	return p, nil
}

// Send publishes tasks and returns when all in-sync replicas have them, or when ctx ends. The error is nil or a
// *[SendError] that lists the tasks which failed; see the package comment for what that says about them, and the
// sentinels of this package for the causes. Tasks are not changed, and their payloads must not be until Send returns
// without [ErrUnacknowledged].
func (p *Producer) Send(ctx context.Context, tasks ...*task.Task) error {
	c := newCall(len(tasks))
	for i, t := range tasks {
		p.deliver(ctx, t, false, func(_ Receipt, err error) { c.settle(i, err) })
	}
	return c.wait(ctx, p, tasks)
}

// SendOne is [Producer.Send] for one task, and says where it was written.
func (p *Producer) SendOne(ctx context.Context, t *task.Task) (Receipt, error) {
	c := newCall(1)
	var receipt Receipt
	p.deliver(ctx, t, false, func(r Receipt, err error) {
		c.settleWith(0, err, func() { receipt = r })
	})
	if err := c.wait(ctx, p, []*task.Task{t}); err != nil {
		return Receipt{}, err
	}
	return receipt, nil
}

// SendAsync publishes t and has done called with the outcome, exactly once: from one goroutine, one call at a time. done
// must not block, nor call Close; other tasks' outcomes wait for it. SendAsync itself blocks while the buffer is full,
// until ctx ends.
//
// When ctx ends, a task that has not left the process is withdrawn. For one in flight done waits until its fate is
// known or the producer is closed, so the two may be far apart while a broker hangs. After Close, done is called before
// SendAsync returns. The payload must not be changed until done was called. done may be nil for those who don't care.
func (p *Producer) SendAsync(ctx context.Context, t *task.Task, done func(Receipt, error)) {
	if done == nil {
		done = func(Receipt, error) {}
	}
	p.deliver(ctx, t, true, done)
}

// Close refuses further tasks, waits until those under way are acknowledged, or until ctx ends, and frees everything. If
// ctx ends first, the rest is given up: their senders get [ErrUnacknowledged], and Close returns an error that says how
// many they were. Calling it again waits for the first call and returns nil.
func (p *Producer) Close(ctx context.Context) error {
	if !p.budget.close() {
		<-p.closed
		return nil
	}
	defer close(p.closed)
	_ = p.client.Flush(ctx) // ends lingering; what was not flushed is counted below

	givenUp := 0
	select {
	case <-p.budget.idle:
	case <-ctx.Done():
		givenUp = p.budget.outstanding()
	}
	p.client.Close()
	<-p.budget.idle
	p.dispatcher.stop()
	if givenUp > 0 {
		return fmt.Errorf("close producer: %d tasks given up, which may or may not have been written: %w", givenUp, context.Cause(ctx))
	}
	return nil
}
