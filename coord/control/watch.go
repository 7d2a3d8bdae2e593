package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/tasktier/tasktier/internal/nap"
	"github.com/tasktier/tasktier/internal/throttle"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	// defaultAnew is how long the watch alone is believed.
	defaultAnew = time.Minute
	// attempt bounds a reading of the keys.
	attempt = 5 * time.Second
	// The pauses between two readings that had to be: they grow from the shortest to the longest, and are short again after
	// a watch that lasted as long as steady.
	shortestPause = 100 * time.Millisecond
	longestPause  = time.Second
	steady        = 5 * time.Second
)

// A Watcher follows what operators say.
type Watcher struct {
	client   *clientv3.Client
	folder   string
	log      *zap.Logger
	anew     time.Duration
	warnings throttle.Throttle

	// Of the goroutine that runs it.
	keys     map[string]heard
	revision int64
}

// Open reads what operators have said; Run follows it from there. prefix begins all keys, "" is the default "/tasktier".
// The client stays its owner's; see [coord.Config] for how it is to be made. log receives what an operator acts on. An error
// is etcd's, or ctx has ended before it has answered: the caller bounds ctx.
//
// [coord.Config]: https://pkg.go.dev/github.com/tasktier/tasktier/coord#Config
func Open(ctx context.Context, client *clientv3.Client, prefix string, log *zap.Logger) (*Watcher, error) {
	w := &Watcher{client: client, folder: folderOf(prefix), log: log, anew: defaultAnew}
	if _, err := w.read(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

// State is what Open has read. It is not to be called any more once Run is.
func (w *Watcher) State() State { return newState(w.folder, w.keys) }

// Run calls told with the state that Open has read, and then with each new one, until ctx ends; it returns nil. States come
// from one goroutine, one after the other: while told runs, nothing is heard. Run is called once.
func (w *Watcher) Run(ctx context.Context, told func(State)) error {
	told(w.State())
	pause := newPause()
	for ctx.Err() == nil {
		begun := time.Now()
		if broke := w.follow(ctx, told); broke != nil && ctx.Err() == nil {
			w.log.Debug("watch of what operators say broke off; reading it anew", zap.Error(broke))
			if time.Since(begun) >= steady {
				pause.Reset()
			}
			nap.For(ctx, pause.NextBackOff())
		}
		w.reread(ctx, told, pause)
	}
	return nil
}

// reread reads all keys until that is done or ctx ends, and tells of them if they have changed.
func (w *Watcher) reread(ctx context.Context, told func(State), pause backoff.BackOff) {
	for ctx.Err() == nil {
		changed, err := w.read(ctx)
		switch {
		case err == nil && changed:
			told(w.State())
			return
		case err == nil:
			return
		case ctx.Err() == nil && w.warnings.Allow():
			w.log.Warn("can't read what operators say; what they said before goes on holding", zap.Error(err))
		}
		nap.For(ctx, pause.NextBackOff())
	}
}

// read reads all keys, and says whether they differ from what was known.
func (w *Watcher) read(ctx context.Context) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	keys, revision, err := readKeys(ctx, w.client, w.folder)
	if err != nil {
		return false, err
	}
	before := w.keys
	w.keys, w.revision = keys, revision
	for k, h := range keys {
		if before[k].revision != h.revision {
			w.warn(k, h)
		}
	}
	return !same(before, keys), nil
}

// follow tells of what happens after the last reading, until the watch breaks off, which is an error, or it is time to read
// anew, which is none.
func (w *Watcher) follow(ctx context.Context, told func(State)) error {
	ctx, cancel := context.WithTimeoutCause(clientv3.WithRequireLeader(ctx), w.anew, errAnew)
	defer cancel()
	for reply := range w.client.Watch(ctx, w.folder, clientv3.WithPrefix(), clientv3.WithRev(w.revision+1)) {
		if err := reply.Err(); err != nil {
			return fmt.Errorf("watch %s: %w", w.folder, err)
		}
		if len(reply.Events) == 0 {
			continue
		}
		w.keys = maps.Clone(w.keys)
		for _, event := range reply.Events {
			k := string(event.Kv.Key)
			if event.Type == clientv3.EventTypeDelete {
				delete(w.keys, k)
				continue
			}
			w.keys[k] = newHeard(event.Kv)
			w.warn(k, w.keys[k])
		}
		told(w.State())
	}
	if errors.Is(context.Cause(ctx), errAnew) {
		return nil
	}
	return fmt.Errorf("watch %s: it broke off", w.folder)
}

// errAnew is why a watch ends that went well.
var errAnew = errors.New("time to read anew")

// warn names a key that is not obeyed.
func (w *Watcher) warn(k string, h heard) {
	why := h.ignored
	if _, _, err := parseKey(w.folder, k); err != nil {
		why = err
	}
	if why != nil {
		w.log.Warn("what is said to operate the cluster can't be understood and is ignored; say it again or delete the key in etcd",
			zap.String("key", k), zap.NamedError("reason", why))
	}
}

func newPause() *backoff.ExponentialBackOff {
	return nap.Backoff(shortestPause, longestPause)
}
