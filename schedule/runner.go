package schedule

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/schedule/cron"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Config says what a [Runner] runs. All is required but where a default stands.
type Config struct {
	// Queue is where the tasks go.
	Queue string
	// Entries are the queue's schedules, each with a name of its own.
	Entries []Entry
	// Producer sends the tasks. It stays its owner's, who closes it after the last [Runner.Lead] has returned.
	Producer *producer.Producer
	// Etcd reaches etcd. It stays its owner's, too.
	Etcd *clientv3.Client
	// Prefix begins all keys in etcd. Default "/tasktier".
	Prefix string
	// Log receives what an operator acts on. Default: nothing.
	Log *zap.Logger
}

// A Runner sends the tasks of one queue's schedules while its node leads. It is safe for concurrent use.
type Runner struct {
	cfg     Config
	folder  string
	entries []scheduled
	now     func() time.Time // the wall clock
	look    time.Duration    // after which it is read again at the latest

	leading       atomic.Bool
	sent, dropped atomic.Uint64
}

// A scheduled is an entry that was read.
type scheduled struct {
	Entry
	when cron.Expression
}

// New returns a Runner. What is wrong with an entry is said with its name.
func New(cfg Config) (*Runner, error) {
	r := &Runner{cfg: cfg, folder: folder(cfg.Prefix, cfg.Queue), now: time.Now, look: look}
	switch {
	case cfg.Queue == "":
		return nil, errors.New("configure schedules: no queue")
	case cfg.Producer == nil || cfg.Etcd == nil:
		return nil, errors.New("configure schedules: no producer, or no etcd client")
	case cfg.Log == nil:
		r.cfg.Log = zap.NewNop()
	}
	names := make(map[string]bool)
	for _, e := range cfg.Entries {
		when, err := e.parse()
		if err != nil {
			return nil, err
		}
		if names[e.Name] {
			return nil, fmt.Errorf("configure schedule %q: there are two of that name", e.Name)
		}
		names[e.Name] = true
		r.entries = append(r.entries, scheduled{e, when})
	}
	return r, nil
}

// Stats are counts of this node since its start.
type Stats struct {
	// Leading says whether it leads now.
	Leading bool
	// Sent counts ticks whose task was sent.
	Sent uint64
	// Dropped counts gaps of which missed ticks were not, or not all, made up for.
	Dropped uint64
}

// Stats returns what was done so far.
func (r *Runner) Stats() Stats { return Stats{r.leading.Load(), r.sent.Load(), r.dropped.Load()} }

// patience bounds one call to etcd.
const patience = 5 * time.Second

// Lead runs the schedules until ctx ends; it is a [coord.Duty]. An error says that etcd does not tell how far they came.
func (r *Runner) Lead(ctx context.Context, term coord.Term) error {
	r.leading.Store(true)
	defer r.leading.Store(false)
	reading, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	keys, err := readKeys(reading, r.cfg.Etcd, r.folder)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	for i := range r.entries {
		f := r.follower(&r.entries[i], term, keys[r.entries[i].Name])
		delete(keys, r.entries[i].Name)
		running.Go(func() { f.run(ctx) })
	}
	for name := range keys {
		r.forget(ctx, term, name)
	}
	<-ctx.Done()
	return nil
}

// forget deletes what etcd remembers of a schedule that is not configured. What fails is done by the next leader.
func (r *Runner) forget(ctx context.Context, term coord.Term, name string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	reply, err := r.cfg.Etcd.Txn(ctx).If(term.Lasts()).Then(clientv3.OpDelete(r.folder + name)).Commit()
	if err == nil && reply.Succeeded {
		r.cfg.Log.Info("schedule is not configured any more and forgotten", zap.String("schedule", name), zap.String("queue", r.cfg.Queue))
	}
}
