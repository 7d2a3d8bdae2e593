package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/retry"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// A Consumer executes the tasks of one or more queues. Build one with [New]; Run it once.
type Consumer struct {
	cfg    Config
	born   time.Time
	queues []*queue
	slots  *slots

	// out produces what follows a turn: its next turn, or its dead letter.
	out     *kgo.Client
	waits   *retry.Writer
	letters *deadletter.Writer

	// book is this node's claims; nil: at least once.
	book       *claim.Book
	session    session
	background background

	breakers *breakers
	gates    *gates

	// handling is the parent of every handler's context; giveUp ends it.
	handling context.Context
	giveUp   context.CancelFunc
	// writing is the context of letters being written; stopWriting ends it, and with it their retries.
	writing     context.Context
	stopWriting context.CancelFunc
}

// abortGrace is how long handlers that were told to give up have to return.
const abortGrace = 5 * time.Second

// ErrAbandoned is wrapped by Run's error when handlers had not returned when it gave up waiting for them. Their tasks
// will be delivered again.
var ErrAbandoned = errors.New("handlers did not return in time")

// New builds a consumer: it opens the clients, which connect in the background, and joins the groups when the first
// broker answers. Whoever builds one must Run it, or Close it.
func New(cfg Config) (*Consumer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Consumer{cfg: cfg, born: time.Now(), breakers: newBreakers()}
	c.gates = newGates(c)
	// Room for a successor of every record in the windows, so that writing one never waits for another's.
	opts := append(retry.OutOptions(cfg.Kafka, cfg.Prefix, cfg.MaxMessageBytes),
		kgo.MaxBufferedRecords(2*(cfg.MaxInflight+2*cfg.Concurrency*len(cfg.Queues))))
	if c.out, err = kgo.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("configure consumer: %w", err)
	}
	c.letters = deadletter.NewWriter(c.out, cfg.Node, cfg.Log)
	c.waits = retry.NewWriter(c.out, cfg.Prefix, cfg.Log)
	c.handling, c.giveUp = context.WithCancel(context.Background())
	c.writing, c.stopWriting = context.WithCancel(context.Background())

	weights := make([]int, len(cfg.Queues))
	for i, q := range cfg.Queues {
		weights[i] = q.Weight
	}
	var shares []*share
	c.slots, shares = newSlots(cfg.Concurrency, weights)
	if err := c.openBook(); err != nil {
		c.out.Close()
		return nil, err
	}
	n := len(cfg.Queues)
	for i, qc := range cfg.Queues {
		w := newWindow(max(cfg.MaxInflight/n, 2*cfg.Concurrency), max(cfg.MaxInflightBytes/int64(n), 1))
		q, err := c.newQueue(qc, shares[i], w)
		if err != nil {
			c.close()
			return nil, err
		}
		c.queues = append(c.queues, q)
	}
	return c, nil
}

// Run consumes until ctx ends, then drains: it starts nothing more, waits up to Config.Drain for handlers that run,
// commits what is finished and leaves the groups. What was not started is delivered to other nodes. It returns nil on a
// clean stop; an error that wraps [ErrAbandoned] says that handlers had to be left behind, and only then are goroutines
// left too.
func (c *Consumer) Run(ctx context.Context) error {
	if c.cfg.Limits != nil {
		c.cfg.Limits.Notify(c.gates.open)
		defer c.cfg.Limits.Notify(nil)
	}
	closeBook := c.runBook()
	var loops, handlers sync.WaitGroup
	for range c.cfg.Concurrency {
		c.slot(&handlers)
	}
	committing, stopCommits := context.WithCancel(context.Background())
	var commits sync.WaitGroup
	for _, q := range c.queues {
		loops.Go(func() { q.poll(ctx) })
		commits.Go(func() { q.commits(committing) })
	}

	<-ctx.Done()
	c.stop()
	loops.Wait()
	left := c.drain(&handlers)
	stopCommits()
	commits.Wait()
	c.close()
	closeBook()
	if left {
		return fmt.Errorf("stop: %w", ErrAbandoned)
	}
	return nil
}

// slot starts a goroutine that runs handlers, one after the other.
func (c *Consumer) slot(handlers *sync.WaitGroup) {
	handlers.Go(func() {
		var done *share
		for {
			t := c.slots.next(done)
			if t == nil {
				return
			}
			done = t.part.queue.share
			c.attempt(t, func() {
				// The handler ends this goroutine: another one takes the slot over.
				c.slots.free(done)
				c.slot(handlers)
			})
		}
	})
}

// drain waits for handlers up to the drain time, then tells them to give up and waits a little more. It says whether
// some are still left.
func (c *Consumer) drain(handlers *sync.WaitGroup) (left bool) {
	done := make(chan struct{})
	go func() { // ends with the last handler
		handlers.Wait()
		close(done)
	}()
	limit := time.NewTimer(c.cfg.Drain)
	defer limit.Stop()
	select {
	case <-done:
		return false
	case <-limit.C:
		c.cfg.Log.Warn("drain time is over: canceling the handlers that still run", zap.Duration("drain", c.cfg.Drain))
		c.giveUp()
	case <-c.handling.Done():
	}
	grace := time.NewTimer(abortGrace)
	defer grace.Stop()
	select {
	case <-done:
		return false
	case <-grace.C:
		return true
	}
}

// uptime is how long there has been this consumer.
func (c *Consumer) uptime() time.Duration { return time.Since(c.born) }

// Abort cancels the contexts of all running handlers, for those who can't wait for the drain, and starts no others. What
// a handler answers with an error after that is no failure: the task is delivered again. Abort does not stop the
// consumer; end Run's context for that.
func (c *Consumer) Abort() {
	c.stop()
	c.giveUp()
}

// stop starts nothing more and gives back what was won.
func (c *Consumer) stop() {
	c.gates.stop()
	for _, t := range c.slots.stop() {
		t.part.queue.drop(t)
	}
}

func (c *Consumer) aborted() <-chan struct{} { return c.handling.Done() }

// Close frees a consumer that was built and never run.
func (c *Consumer) Close() { c.close() }

// leavePatience bounds leaving a group whose coordinator does not answer: it will notice the silence by itself.
const leavePatience = 10 * time.Second

// close leaves the groups, which commits what is finished, and closes the clients. Letters that are still being written
// are waited for before that (see queue.revoked), so that their offsets are committed too.
func (c *Consumer) close() {
	c.giveUp()
	var leaving sync.WaitGroup
	for _, q := range c.queues {
		leaving.Go(func() {
			q.client.AllowRebalance()
			parts := q.assignment()
			q.end(parts)
			ctx, cancel := context.WithTimeout(context.Background(), leavePatience)
			defer cancel()
			// A member that leaves in the middle of a rebalance can commit no more; here a rebalance is waited for.
			if err := q.commitLast(ctx, parts); err != nil {
				q.log.Warn("commit before leaving failed", zap.Error(err))
			}
			q.forget(parts)
			if err := q.client.LeaveGroupContext(ctx); err != nil {
				q.log.Warn("leave group failed; it will notice by itself", zap.Error(err))
				q.cut() // else closing waits for others whom a rebalance waits for
			}
			q.client.CloseAllowingRebalance()
			q.cut()
			// Closing takes what is buffered, an error perhaps, by a poll that nobody allows to be followed by a rebalance. If a
			// goroutine of the client's that leaves the group comes late, it waits for that, with all the client's memory.
			q.client.AllowRebalance()
		})
	}
	leaving.Wait()
	c.stopWriting()
	c.background.end()
	c.out.Close() // ends what a silent broker keeps in flight, whose context alone does not
	c.waits.Close()
	c.letters.Close()
}
