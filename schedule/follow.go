package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/internal/nap"
	"github.com/tasktier/tasktier/internal/throttle"
	"github.com/tasktier/tasktier/task"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	// look is how long a step of the wall clock may go unnoticed: timers don't follow it.
	look = 10 * time.Second
	// finish is how long what has begun when the term ends may take: less than the margin of any session's trust.
	finish = 400 * time.Millisecond
	// batch is how many ticks are sent before etcd is told of them.
	batch = 100
)

// A follower sends the tasks of one schedule during one term.
type follower struct {
	*scheduled
	r        *Runner
	term     coord.Term
	key      string
	progress Progress
	unsaved  bool // etcd does not have the progress
	warnings throttle.Throttle
	log      *zap.Logger
}

// follower begins where etcd remembers that the schedule was; text is what it has, nil if nothing.
func (r *Runner) follower(s *scheduled, term coord.Term, text []byte) *follower {
	f := &follower{scheduled: s, r: r, term: term, key: r.folder + s.Name,
		log: r.cfg.Log.With(zap.String("schedule", s.Name), zap.String("queue", r.cfg.Queue))}
	now := r.now()
	if len(text) > 0 {
		if err := json.Unmarshal(text, &f.progress); err != nil {
			f.log.Warn("what etcd remembers of the schedule can't be read; it starts now", zap.String("key", f.key), zap.Error(err))
			f.progress = Progress{}
		}
	}
	if !f.progress.of(s.Entry) {
		f.progress = Progress{Cron: s.Cron, Zone: s.Zone, Settled: now.Truncate(time.Second), Last: f.progress.Last}
		f.unsaved = true // so that a tick is missed even if the next leader comes after it
	}
	if ahead := f.progress.Settled.Sub(now); ahead > time.Hour {
		f.log.Warn("a leader whose clock was ahead has sent ticks that are yet to come; nothing is sent until then. To begin anew now, delete the key in etcd",
			zap.String("key", f.key), zap.Time("until", f.progress.Settled))
	}
	return f
}

// run sends what comes due until ctx ends.
func (f *follower) run(ctx context.Context) {
	pause := nap.Backoff(time.Second, 30*time.Second)
	next := f.when.Next(f.progress.Settled)
	for ctx.Err() == nil {
		f.save(ctx)
		now := f.r.now()
		if next.IsZero() || now.Before(next) {
			wait := f.r.look
			if !next.IsZero() {
				wait = min(wait, next.Sub(now))
			}
			nap.For(ctx, wait)
			continue
		}
		if err := f.settle(ctx, ticksDue(f.when, f.Missed, f.progress.Settled, now)); err != nil {
			if ctx.Err() == nil && f.warnings.Allow() {
				f.log.Error("tasks of the schedule can't be sent; trying on", zap.Error(err))
			}
			nap.For(ctx, pause.NextBackOff())
			continue
		}
		pause.Reset()
		next = f.when.Next(f.progress.Settled)
	}
}

// settle sends what is due. etcd is told of each batch once all in-sync replicas have it.
func (f *follower) settle(ctx context.Context, d due) error {
	ctx, cancel := outliving(ctx, finish) // so that a leader that is told to stop leaves nothing half done
	defer cancel()
	if !d.dropped.IsZero() {
		f.r.dropped.Add(1)
		f.log.Warn("ticks were missed and are not made up for", zap.Time("after", f.progress.Settled), zap.Time("until", d.dropped), zap.String("missed", string(f.Missed)))
		f.advance(d.dropped) // so that it is said once
		if len(d.send) == 0 {
			f.save(ctx)
		}
	}
	for ticks := range slices.Chunk(d.send, batch) {
		tasks := make([]*task.Task, len(ticks))
		for i, tick := range ticks {
			tasks[i] = f.Task(f.r.cfg.Queue, tick)
		}
		if err := f.r.cfg.Producer.Send(ctx, tasks...); err != nil {
			return err
		}
		f.r.sent.Add(uint64(len(ticks)))
		f.progress.Last = ticks[len(ticks)-1]
		f.advance(f.progress.Last)
		f.save(ctx)
	}
	return nil
}

func (f *follower) advance(tick time.Time) {
	f.progress.Settled, f.unsaved = tick, true
}

// save writes the progress, if it is not written and the term lasts. Should it fail, the schedule goes on, and the next
// save makes up for it: a leader that comes before that sends ticks again that claims drop.
func (f *follower) save(ctx context.Context) {
	if !f.unsaved {
		return
	}
	if err := f.write(ctx); err != nil {
		if ctx.Err() == nil && f.warnings.Allow() {
			f.log.Warn("etcd does not take down the schedule's progress; trying on", zap.Error(err))
		}
		return
	}
	f.unsaved = false
}

func (f *follower) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p := f.progress
	p.Settled, p.Last = p.Settled.UTC(), p.Last.UTC()
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode progress: %w", err)
	}
	reply, err := f.r.cfg.Etcd.Txn(ctx).If(f.term.Lasts()).Then(clientv3.OpPut(f.key, string(text))).Commit()
	if err != nil {
		return fmt.Errorf("write %s: %w", f.key, err)
	}
	if !reply.Succeeded {
		return fmt.Errorf("write %s: %w", f.key, coord.ErrTermOver) // ctx is about to end
	}
	return nil
}

// outliving is a context that ends some time after ctx does. The caller calls the function it returns.
func outliving(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return longer, func() { stop(); cancel() }
}
