package deadletter

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// maxChunk is how many letters are looked up in the claims at a time.
	maxChunk = 500
	// grace is how long what is under way is waited for when a replay is ended.
	grace = 10 * time.Second
	// stride is the time between two calls of Progress.
	stride = 200 * time.Millisecond
)

// A replay is one under way. Three hands work on it: one reads letters (read), one decides and sends (run), and the
// clients' callbacks go on with what is acknowledged (sent, settle).
type replay struct {
	store  *Store
	queue  string
	o      ReplayOptions
	client *kgo.Client // sends tasks; the store's own takes letters away. Nil in a dry run

	sending context.Context //nolint:containedctx // of records, which outlive the caller's context a little
	abort   context.CancelFunc
	flight  *flight
	pace    pace
	canary  canary

	fail context.CancelCauseFunc // ends the replay

	mu     sync.Mutex
	result ReplayResult
	over   bool // nothing counts any more
}

func (s *Store) newReplay(ctx context.Context, queue string, o ReplayOptions, matched int) (*replay, error) {
	r := &replay{
		store: s, queue: queue, o: o, flight: newFlight(), pace: newPace(o.Rate), canary: newCanary(o.Canary),
		result: ReplayResult{Matched: matched, DryRun: o.DryRun},
	}
	r.sending, r.abort = context.WithCancel(context.WithoutCancel(ctx))
	if o.DryRun {
		return r, nil
	}
	var err error
	r.client, err = kgo.NewClient(append(append([]kgo.Opt{}, s.cfg.Kafka...),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(int32(s.cfg.MaxBytes)),
		kgo.ProducerLinger(2*time.Millisecond),
		kgo.MaxBufferedRecords(2*maxFlight),                     // flight bounds them
		kgo.RecordDeliveryTimeout(max(o.Patience, time.Second)), // it takes no less
		// A record that may or may not have been written keeps its letter, so it may be given up.
		kgo.AllowIdempotentProduceCancellation(),
	)...)
	if err != nil {
		r.abort()
		return nil, fmt.Errorf("replay: %w", err)
	}
	return r, nil
}

// close gives up whatever is still under way.
func (r *replay) close() {
	r.abort()
	if r.client != nil {
		r.client.Close()
	}
}

// run replays the letters that each yields and returns when nothing is under way any more.
func (r *replay) run(parent context.Context, each func(context.Context, func(*Letter, error) bool)) error {
	ctx, fail := context.WithCancelCause(parent)
	defer fail(nil)
	r.fail = fail
	reading, stop := context.WithCancel(ctx)
	defer stop()
	chunks := make(chan []*Letter)
	var (
		hand   sync.WaitGroup
		unread error
	)
	hand.Go(func() {
		defer close(chunks)
		unread = r.read(reading, each, chunks)
	})
	err := r.work(ctx, chunks)
	stop()
	for chunk := range chunks { // what was read ahead is left
		r.flight.land(chunk...)
	}
	hand.Wait()
	if err == nil {
		err = unread
	}
	empty := r.drain(ctx, parent)
	failed := ctx.Err() != nil && parent.Err() == nil
	if failed || ctx.Err() != nil && (err != nil || !empty) {
		err = context.Cause(ctx) // what else is said follows from it
	}
	if err != nil {
		return fmt.Errorf("replay of queue %s: %w", r.queue, err)
	}
	return nil
}

// read hands letters on in chunks, as many as may be in flight.
func (r *replay) read(ctx context.Context, each func(context.Context, func(*Letter, error) bool), chunks chan<- []*Letter) (err error) {
	var chunk []*Letter
	flush := func() {
		if len(chunk) == 0 || err != nil {
			return
		}
		select {
		case chunks <- chunk:
			chunk = nil
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	each(ctx, func(l *Letter, unread error) bool {
		if unread != nil {
			err = unread
			return false
		}
		if !r.flight.try(l) {
			flush() // those in it hold the room
			if err == nil {
				err = r.flight.take(ctx, l)
			}
			if err != nil {
				return false
			}
		}
		if chunk = append(chunk, l); len(chunk) == maxChunk {
			flush()
		}
		return err == nil
	})
	flush()
	r.flight.land(chunk...)
	return err
}

// work decides on letters and sends what is to be sent.
func (r *replay) work(ctx context.Context, chunks <-chan []*Letter) error {
	for chunk := range chunks {
		for len(chunk) > 0 {
			part := chunk[:r.stride(len(chunk))]
			if err := r.handle(ctx, part); err != nil {
				r.flight.land(chunk[len(part):]...)
				return err
			}
			chunk = chunk[len(part):]
			if r.canary.full() {
				if err := r.watch(ctx); err != nil {
					r.flight.land(chunk...)
					return err
				}
			}
		}
	}
	if r.canary.flies() { // all there was
		return r.watch(ctx)
	}
	return nil
}

// stride is how many of n letters are looked up together: no more than the canary needs, and no more than are sent soon.
func (r *replay) stride(n int) int {
	n = min(n, r.canary.left(n))
	if r.o.Rate > 0 {
		n = min(n, max(1, r.o.Rate/4))
	}
	return n
}

// handle decides on letters, and sends them or not. All that it does not come to it lets land.
func (r *replay) handle(ctx context.Context, letters []*Letter) error {
	verdicts, err := r.judge(ctx, letters)
	if err != nil {
		r.flight.land(letters...)
		return err
	}
	for i, l := range letters {
		err := context.Cause(ctx)
		switch {
		case err != nil:
		case verdicts[i].skip != nil:
			r.skip(l, verdicts[i].skip)
		case r.o.DryRun:
			r.settle(l, verdicts[i].sent)
		case verdicts[i].sent:
			r.flight.depart()
			r.takeAway(l, true)
		default:
			if err = r.pace.wait(ctx); err == nil {
				err = r.send(l)
			}
		}
		if err != nil {
			r.flight.land(letters[i:]...)
			return err
		}
	}
	return nil
}

// drain waits until nothing is under way, and says whether it came to that: when the replay was ended it waits for a while
// only, and when it failed it gives up what is not sent yet.
func (r *replay) drain(ctx, parent context.Context) (empty bool) {
	if r.flight.empty(ctx) == nil {
		return true
	}
	if parent.Err() == nil {
		r.abort() // what one task has run into the others do
	}
	patient, done := context.WithTimeout(context.WithoutCancel(parent), grace)
	defer done()
	if r.flight.empty(patient) == nil {
		return true
	}
	r.abort()
	last, done := context.WithTimeout(context.WithoutCancel(parent), time.Second)
	defer done()
	return r.flight.empty(last) == nil
}

// end is what the replay came to; nothing is counted after it. What was sent and not heard of has failed.
func (r *replay) end(complete bool) ReplayResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.result.Failed += r.flight.under()
	if complete {
		// Letters that somebody else took away meanwhile were not found.
		r.result.Matched = r.result.Replayed + r.result.Skipped + r.result.Failed
	}
	return r.snapshot()
}

// snapshot is a copy of the result; r.mu is held.
func (r *replay) snapshot() ReplayResult {
	result := r.result
	result.SkippedFor = maps.Clone(result.SkippedFor)
	if result.Canary != nil {
		outcome := *result.Canary
		result.Canary = &outcome
	}
	return result
}

// tell reports progress until the function that it returns is called.
func (r *replay) tell() (stop func()) {
	done := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(stride)
		defer tick.Stop()
		for {
			r.mu.Lock()
			now := r.snapshot()
			r.mu.Unlock()
			r.o.Progress(now)
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		telling.Wait()
	}
}
