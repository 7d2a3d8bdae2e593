package storm

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/tasktier/tasktier/test/history"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A watch is what looks on from outside, and comes to the servers by no proxy. It writes down what it sees while the storm
// lasts, and what lies there in the end.
type watch struct {
	config config.Config
	dir    string // of the history
	events *history.Writer
	kafka  *kgo.Client
	adm    *kadm.Client
	etcd   *clientv3.Client
	tap    *tap
	healed time.Time // when nothing was broken any more; zero: it never came to that

	stop     context.CancelFunc
	watching sync.WaitGroup
	errs     [2]error
}

// watchOver makes the topics and begins to watch.
func watchOver(ctx context.Context, s *stage, dir string, events *history.Writer) (*watch, error) {
	path, err := s.servers.write(dir, "watch")
	if err != nil {
		return nil, err
	}
	w := &watch{dir: dir, events: events}
	if w.config, err = config.Load(path, nil); err != nil {
		return nil, err
	}
	if w.kafka, err = kgo.NewClient(kgo.SeedBrokers(s.servers.kafka...)); err != nil {
		return nil, err
	}
	w.adm = kadm.NewClient(w.kafka)
	if w.etcd, err = tasktier.EtcdClient(*w.config.Etcd); err != nil {
		return nil, err
	}
	making, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := topic.Ensure(making, w.adm, topics(w.config), true); err != nil {
		return nil, err
	}
	if w.tap, err = openTap(s.servers.kafka, w.prefix(), events); err != nil {
		return nil, err
	}
	ctx, w.stop = context.WithCancel(ctx)
	w.watching.Go(func() { w.errs[0] = observeOffsets(ctx, w.adm, w.prefix(), events) })
	w.watching.Go(func() { w.errs[1] = announceTicks(ctx, events) })
	return w, nil
}

// topics are those of the nodes. Letters too have the broker's times here, as everything else does: whoever writes them may
// have a clock that is wrong.
func topics(cfg config.Config) []topic.Spec {
	specs := tasktier.Topics(cfg)
	for i := range specs {
		s := &specs[i]
		if s.Name == names.Dead(s.Queue) {
			s.Settings = append(s.Settings, topic.Setting{Name: "message.timestamp.type", Value: "LogAppendTime"})
		}
	}
	return specs
}

func (w *watch) prefix() string { return w.config.Kafka.Prefix }

// warm waits until each of the nodes has run something.
func (w *watch) warm(ctx context.Context, nodes []*member) error {
	ctx, cancel := context.WithTimeoutCause(ctx, warmUp, errors.New("not all nodes have got work"))
	defer cancel()
	for {
		worked := make(map[string]bool)
		for e, err := range history.Read(w.dir) {
			if err != nil {
				return err
			}
			if e.Kind == history.Started {
				worked[e.Process] = true
			}
		}
		if !slices.ContainsFunc(nodes, func(m *member) bool { return !worked[m.present()] }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(observeEvery):
		}
	}
}

// rest waits until the system has come to rest.
func (w *watch) rest(ctx context.Context) error { return rest(ctx, w.adm, w.prefix()) }

// collectLimit bounds the collection.
const collectLimit = 3 * time.Minute

// collect adds to the history what lies in Kafka and Redis, and ends the watch.
func (w *watch) collect(ctx context.Context, from time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, collectLimit)
	defer cancel()
	w.stop()
	w.watching.Wait()
	if err := errors.Join(append(w.errs[:], w.tap.finish(ctx))...); err != nil {
		return err
	}
	known, ran := make(map[history.Task]bool), make(map[history.Task]bool)
	var tasks []history.Task
	for e, err := range history.Read(w.dir) {
		if err != nil {
			return err
		}
		if e.Kind == history.Started {
			ran[e.Task] = true
		}
		if (e.Kind == history.Sent || e.Kind == history.Started) && !known[e.Task] {
			known[e.Task] = true
			tasks = append(tasks, e.Task)
		}
	}
	if err := acknowledgeTicks(ran, from, w.healed, w.events); err != nil {
		return err
	}
	redis, err := tasktier.RedisClient(*w.config.Redis)
	if err != nil {
		return err
	}
	defer redis.Close()
	return collectClaims(ctx, claim.NewStore(redis, w.prefix()), tasks, w.events)
}

// close ends what has not ended.
func (w *watch) close() error {
	w.stop()
	w.watching.Wait()
	err := w.tap.close()
	w.kafka.Close()
	return errors.Join(err, w.etcd.Close())
}
