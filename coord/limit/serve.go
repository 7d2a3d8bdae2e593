package limit

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/internal/nap"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	callLimit  = 2 * time.Second // of one call to etcd
	seenLimit  = 5 * time.Second // of the watch showing what was written
	watchLimit = time.Minute     // of watching when there is nothing to do
	longest    = 2 * time.Second // pause between two tries, at most
)

// A sitting is what a limiter does in one session. One goroutine has it.
type sitting struct {
	*Limiter
	coord.Registered
	mine  identity
	view  *view
	wrote int64     // the revision of the last own write: what the view shows before that is not acted on
	seen  time.Time // until when the view has to show it
	doubt bool      // a call has failed: there may be keys of ours that nobody here knows of, or will be
	since time.Time // there has been nothing to do
	pause *backoff.ExponentialBackOff
}

// serve takes and gives slots in a session until that or ctx has ended.
func (l *Limiter) serve(ctx context.Context, r coord.Registered) {
	s := &sitting{
		Limiter: l, Registered: r, mine: identify(r, l.cfg.Node, l.id),
		pause: nap.Backoff(20*time.Millisecond, longest),
	}
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.Lease.Context(), cancel)()
	for within.Err() == nil {
		if !l.needed() && !s.doubt {
			select {
			case <-l.wake:
			case <-within.Done():
			}
			continue
		}
		err := s.attend(within)
		s.doubt = err != nil
		if err != nil && within.Err() == nil {
			level := zap.DebugLevel
			if l.warnings.Allow() {
				level = zap.WarnLevel
			}
			l.cfg.Log.Log(level, "can't keep up with the slots of limited types; what is held stays, trying on", zap.Error(err))
			nap.For(within, s.pause.NextBackOff())
		}
	}
	if ctx.Err() == nil {
		l.drop()
		return
	}
	l.close()
	s.withdraw(ctx)
}

// attend reads what there is, follows it and acts on it, until there has been nothing to do for a while. After an error all is
// to be read anew.
func (s *sitting) attend(ctx context.Context) error {
	if err := s.load(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	changes := s.cfg.Client.Watch(ctx, string(s.keys), clientv3.WithPrefix(), clientv3.WithRev(s.view.revision+1))
	s.since = time.Time{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		alarm, err := s.round(ctx)
		if err != nil {
			return err
		}
		if !s.since.IsZero() && time.Since(s.since) >= watchLimit {
			return nil
		}
		stopwatch := (<-chan time.Time)(nil)
		if !alarm.IsZero() {
			timer.Reset(time.Until(alarm))
			stopwatch = timer.C
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wake:
		case now := <-stopwatch:
			if s.view.revision < s.wrote && !now.Before(s.seen) {
				return errors.New("the watch does not show what was written")
			}
		case reply, ok := <-changes:
			if !ok {
				return errors.New("the watch broke off")
			}
			if err := reply.Err(); err != nil {
				return err
			}
			s.pause.Reset()
			s.retry(s.view.apply(reply.Events))
		}
	}
}

// load reads all there is.
func (s *sitting) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	reply, err := s.cfg.Client.Get(ctx, string(s.keys), clientv3.WithPrefix())
	if err != nil {
		return err
	}
	s.view = newView(s.keys, s.mine, reply)
	return nil
}

// retry lets types for which something has changed ask for slots at once.
func (s *sitting) retry(types []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, typ := range types {
		if k := s.kinds[typ]; k != nil && !k.stale {
			k.until = time.Time{}
		}
	}
}

// round does what is to be done, and returns when it is to be called again at the latest; zero: when something changes.
func (s *sitting) round(ctx context.Context) (time.Time, error) {
	now := time.Now()
	if s.view.revision < s.wrote {
		return s.seen, nil
	}
	removals, others, news, alarm := s.plan(now)
	s.tell(news)
	// Apart, and first: a full quota forbids the others.
	for _, steps := range [][]step{removals, others} {
		for len(steps) > 0 {
			n := min(batch, len(steps))
			if err := s.commit(ctx, steps[:n]); err != nil {
				return alarm, err
			}
			steps = steps[n:]
		}
	}
	switch {
	case len(removals)+len(others) == 0:
		return alarm, nil
	case s.view.revision < s.wrote:
		s.pause.Reset()
		return s.seen, nil
	default: // all were refused
		s.pause.Reset()
		return sooner(alarm, now.Add(again)), nil
	}
}

// plan brings what is known here in line with the view and decides what to do.
func (s *sitting) plan(now time.Time) (removals, others []step, news []string, alarm time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for typ, seats := range s.view.types {
		if seats.ours(s.mine.session) {
			s.kind(typ)
		}
	}
	busy := false
	for typ, k := range s.kinds {
		seats := s.view.look(typ)
		found, lost := k.settle(typ, seats, s.Lease, now)
		if found {
			news = append(news, typ)
		}
		for _, slot := range lost {
			s.cfg.Log.Warn("somebody deleted the key of a slot; another node may be given it while its task is at work here",
				zap.String("type", typ), zap.Int("slot", slot.Number), zap.Int64("token", slot.Token))
		}
		steps, next := k.plan(typ, seats, s.mine.session, now, s.cfg.Fair, s.cfg.Linger)
		for _, step := range steps {
			if step.removes() {
				removals = append(removals, step)
			} else {
				others = append(others, step)
			}
		}
		alarm = sooner(alarm, next)
		busy = busy || !k.over()
		s.forget(typ)
	}
	switch {
	case busy:
		s.since = time.Time{}
	case s.since.IsZero():
		s.since = now
	}
	if !busy {
		alarm = sooner(alarm, s.since.Add(watchLimit))
	}
	return removals, others, news, alarm
}

// commit does steps and takes over what has become of them.
func (s *sitting) commit(ctx context.Context, steps []step) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	outcomes, revision, err := commit(ctx, s.cfg.Client, s.keys, s.mine, steps)
	if err != nil {
		return err
	}
	now, news := time.Now(), []string(nil)
	s.mu.Lock()
	for i, step := range steps {
		if outcomes[i] == written {
			s.wrote, s.seen = revision, now.Add(seenLimit)
		}
		if s.kind(step.typ).done(step, outcomes[i], s.Lease, revision, now) {
			news = append(news, step.typ)
		}
	}
	s.mu.Unlock()
	s.tell(news)
	return nil
}
