package main

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/consumer"
)

// serve runs the node until ctx ends, or all is done and nothing else is wanted.
func (d *dev) serve(ctx context.Context, tasks io.Reader) error {
	mux := consumer.NewMux()
	d.feed = d.newFeed(d.bar)
	mux.Use(d.feed.clock)
	err := handleDemos(mux, func(typ string) bool {
		t, ok := d.cfg.Types[typ]
		return ok && (t.HTTP != nil || t.Exec != nil)
	})
	if err != nil {
		return err
	}
	d.cfg.Types = withoutBreaker(d.cfg.Types, demoFail.Name())
	node, err := tasktier.New(d.cfg.Config, mux, tasktier.WithLogger(d.log), tasktier.WithSettled(d.settled))
	if err != nil {
		return err
	}
	d.signals.handle(d.stopping, node.Abort)

	running, stop := context.WithCancel(ctx)
	defer stop()
	var nodeErr error
	d.feed.start()
	var nodes sync.WaitGroup
	nodes.Go(func() {
		defer stop() // should it fail, nothing else goes on
		nodeErr = node.Run(running)
	})
	d.announce(mux)

	var verdict error
	var sent *batch
	if tasks != nil {
		sent = d.work(running, tasks)
	}
	if sent != nil && sent.over && !d.options.exitWhenDone {
		verdict, sent = d.conclude(sent), nil
	}
	if sent == nil {
		<-running.Done()
	}
	stop()
	nodes.Wait()
	if sent != nil {
		verdict = d.conclude(sent) // with what ended during the drain
	}
	feedErr := d.feed.close()
	if err := errors.Join(nodeErr, feedErr); err != nil {
		return err
	}
	if d.signals.interrupted() && !errors.Is(verdict, errInterrupted) {
		return errInterrupted
	}
	return verdict
}

func (d *dev) settled(s consumer.Settled) {
	d.feed.settled(s)
	if d.tally.settle(s) {
		d.bar.add(1)
	}
}

// stopping tells people what a first signal has begun.
func (d *dev) stopping(os.Signal) {
	d.bar.around(func() {
		d.prose("Stopping: running tasks may finish, for up to %v. A second signal cancels them.", d.cfg.Node.Drain)
	})
}

// A batch is what became of the tasks of a file.
type batch struct {
	count loaded
	err   error // why not all lines were read or sent
	took  time.Duration
	over  bool // every task that was sent has ended
}

// work sends the tasks and waits for their ends.
func (d *dev) work(ctx context.Context, tasks io.Reader) *batch {
	began := time.Now()
	b := new(batch)
	defer func() { b.took = time.Since(began) }()
	limit := int(d.cfg.Queues[d.queue].MaxBytes)
	l, err := newLoader(ctx, d.cfg.Kafka, d.queue, limit)
	if err != nil {
		b.err = err
		return b
	}
	defer l.close()
	b.count, b.err = l.load(ctx, newTaskFile(tasks, limit), watcher{
		sending: func(line taskLine) func(error) {
			isNew := d.tally.expect(line.source, line.id)
			return func(err error) {
				switch {
				case err != nil:
					d.tally.unsent(line.source, line.id, isNew)
				case !isNew:
					d.bar.add(1)
				}
			}
		},
		bad: func(line int, reason string) {
			d.bar.around(func() { d.complain("line %d: %s", line, reason) })
			d.bar.add(1)
		},
	})
	d.tally.seal()
	if b.err == nil {
		select {
		case <-d.tally.over:
			b.over = true
		case <-ctx.Done():
		}
	}
	return b
}

// conclude prints the summary and says whether all went well.
func (d *dev) conclude(b *batch) error {
	d.feed.catchUp()
	d.bar.finish()
	s := devSummary{loaded: b.count, outcomes: d.tally.outcomes(), Seconds: b.took.Seconds()}
	if err := d.summarize(s); err != nil {
		return err
	}
	if b.err == nil && d.options.exitWhenDone && s.Unfinished > 0 {
		return errInterrupted
	}
	return fileVerdict(b.count, b.err)
}
