package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/nap"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A verdict says what is to be done with a letter.
type verdict struct {
	skip *SkipError // nil: nothing keeps it
	sent bool       // its task was sent before: only the letter is to go
}

// judge decides on letters, by their records and by the claims of their tasks.
func (r *replay) judge(ctx context.Context, letters []*Letter) ([]verdict, error) {
	verdicts := make([]verdict, len(letters))
	ids := make([]claim.Identity, 0, len(letters))
	of := make([]int, 0, len(letters))
	for i, l := range letters {
		switch {
		case l.Generation >= claim.AllGenerations-1:
			verdicts[i].skip = &SkipError{SkipUndecodable, errLastGeneration}
		case l.Bad != nil && !r.o.Undecodable:
			verdicts[i].skip = &SkipError{SkipUndecodable, l.Bad}
		case r.store.cfg.Claims != nil && l.hasIdentity():
			ids, of = append(ids, l.identity()), append(of, i)
		}
	}
	if len(ids) == 0 {
		return verdicts, nil
	}
	claims, err := r.claims(ctx, ids)
	if err != nil {
		return nil, err
	}
	for i, c := range claims {
		v := &verdicts[of[i]]
		switch c.Replay(letters[of[i]].Generation) {
		case claim.ReplaySend:
		case claim.ReplaySent:
			v.sent = true
		case claim.ReplayAtWork:
			v.skip = &SkipError{Reason: SkipAtWork}
		case claim.ReplaySucceeded:
			v.skip = &SkipError{Reason: SkipSucceeded}
		case claim.ReplayCanceled:
			v.skip = &SkipError{Reason: SkipCanceled}
		case claim.ReplayForeign:
			v.skip = &SkipError{Reason: SkipForeign}
		}
	}
	return verdicts, nil
}

var errLastGeneration = errors.New("there is no generation after its own")

func (l *Letter) identity() claim.Identity {
	return claim.Identity{Queue: l.Queue, Source: l.Task.Source, ID: l.Task.ID}
}

const (
	// askPatience bounds one question to Redis.
	askPatience = 5 * time.Second
	// The pause before it is asked again grows from minPause to maxPause.
	minPause = 50 * time.Millisecond
	maxPause = time.Second
)

// claims reads claims, and tries for as long as it may.
func (r *replay) claims(ctx context.Context, ids []claim.Identity) ([]claim.Claim, error) {
	began := time.Now()
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		asking, done := context.WithTimeout(ctx, askPatience)
		claims, err := r.store.cfg.Claims.Claims(asking, ids)
		done()
		switch {
		case err == nil:
			return claims, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case time.Since(began) > r.o.Patience:
			return nil, &AwayError{"redis", r.o.Patience, err}
		}
		if !nap.For(ctx, pause) {
			return nil, context.Cause(ctx)
		}
	}
}

// send sends a letter's task. Its letter goes when, and only when, all in-sync replicas of the queue have the task.
func (r *replay) send(l *Letter) error {
	task := l.next()
	if r.o.Edit != nil {
		payload, err := r.o.Edit(l)
		if err != nil {
			return err
		}
		if task, err = l.edited(payload); err != nil {
			return err
		}
	}
	r.canary.add(l)
	r.flight.depart()
	r.client.Produce(r.sending, task, func(_ *kgo.Record, err error) {
		if err != nil {
			r.refused(l, r.refusal(task, err))
			return
		}
		r.takeAway(l, false)
	})
	return nil
}

// takeAway takes the letter of a task away that is in its queue.
func (r *replay) takeAway(l *Letter, before bool) {
	r.store.takeAway(r.sending, l, func(err error) {
		if err != nil {
			err = r.refusal(&kgo.Record{Topic: names.Dead(r.queue)}, err)
			r.refused(l, fmt.Errorf("its task is back in the queue, and its letter could not be taken away: replay again: %w", err))
			return
		}
		r.settle(l, before)
		r.flight.arrive(l) // last: what is not under way has been counted
	})
}

// settle counts a letter that is gone, and in a dry run one that would be.
func (r *replay) settle(l *Letter, before bool) {
	if r.o.DryRun {
		r.flight.land(l)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	r.result.Replayed++
	if before {
		r.result.Finished++
	}
}

// skip leaves a letter where it is.
func (r *replay) skip(l *Letter, why *SkipError) {
	r.flight.land(l)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Skipped++
	if r.result.SkippedFor == nil {
		r.result.SkippedFor = make(map[SkipReason]int)
	}
	r.result.SkippedFor[why.Reason]++
	r.o.Left(l, why)
}

// refused counts a letter that could not be sent, or not be taken away. What is not the letter's own fault ends the replay.
func (r *replay) refused(l *Letter, why error) {
	defer r.flight.arrive(l) // last: what is not under way has been counted
	r.canary.remove(l)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	r.result.Failed++
	if own := (*refusedError)(nil); !errors.As(why, &own) {
		r.fail(why)
	}
	r.o.Left(l, why)
}

// A refusedError says that the broker has nothing against others.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// refusal says what an error of the client means.
func (r *replay) refusal(rec *kgo.Record, err error) error {
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return &refusedError{fmt.Errorf("its task is too large for topic %s; raise its max.message.bytes: %w", rec.Topic, err)}
	case errors.Is(err, kerr.InvalidRecord):
		return &refusedError{fmt.Errorf("the broker does not take its task: %w", err)}
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return fmt.Errorf("topic %s: %w; create it with: tasktier topic apply --queue %s", rec.Topic, ErrNoTopic, r.queue)
	case errors.Is(err, kgo.ErrRecordTimeout):
		return &AwayError{"kafka", r.o.Patience, err}
	case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
		return fmt.Errorf("it was given up, written or not: %w", err)
	case errors.As(err, new(*kerr.Error)):
		return fmt.Errorf("write to topic %s: %w", rec.Topic, err)
	default: // of the connection
		return &AwayError{"kafka", r.o.Patience, err}
	}
}
