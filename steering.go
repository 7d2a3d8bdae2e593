package tasktier

import (
	"context"
	"maps"
	"sync"

	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/coord/control"
	"github.com/tasktier/tasktier/coord/limit"
	"go.uber.org/zap"
)

// A steering hands on to this node's parts what operators say of the cluster, together with the limits of the
// configuration. Whatever they have not said is as the configuration says.
type steering struct {
	node    string
	limits  map[string]int // of types, by the configuration
	limiter *limit.Limiter
	log     *zap.Logger

	mu       sync.Mutex
	state    control.State
	drained  bool
	changed  chan struct{}      // closed when drained changes
	end      context.CancelFunc // of what runs while it is not
	consumer *consumer.Consumer
}

func newSteering(cfg config.Config, l *limit.Limiter, log *zap.Logger) *steering {
	s := &steering{node: cfg.Node.Name, limits: make(map[string]int), limiter: l, log: log, changed: make(chan struct{})}
	for typ, tc := range cfg.Types {
		if tc.Limit > 0 {
			s.limits[typ] = tc.Limit
		}
	}
	return s
}

// hear takes what operators say now.
func (s *steering) hear(state control.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
	if drained := state.Nodes[s.node].Drained; drained != s.drained {
		s.drained = drained
		close(s.changed)
		s.changed = make(chan struct{})
		if drained && s.end != nil {
			s.end()
		}
	}
	s.apply()
}

// steer has a consumer follow the rules; nil: there is none any more.
func (s *steering) steer(c *consumer.Consumer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consumer = c
	s.apply()
}

// apply makes what is said hold; s.mu is held.
func (s *steering) apply() {
	rules, limits := s.rules()
	s.limiter.Set(limits)
	if s.consumer == nil {
		return
	}
	if err := s.consumer.Apply(rules); err != nil {
		s.log.Error("what operators say can't be obeyed", zap.Error(err))
	}
}

// rules merges what operators say with the configuration; s.mu is held.
func (s *steering) rules() (consumer.Rules, map[string]limit.Limit) {
	rules := consumer.Rules{Paused: make(map[string]bool), Types: make(map[string]consumer.Rule)}
	for name, q := range s.state.Queues {
		rules.Paused[name] = q.Paused
	}
	limited := maps.Clone(s.limits)
	for typ, t := range s.state.Types {
		rules.Types[typ] = consumer.Rule{Paused: t.Paused}
		if t.Limit != nil {
			limited[typ] = *t.Limit
		}
	}
	limits := make(map[string]limit.Limit)
	for typ, n := range limited {
		if n > 0 {
			rules.Types[typ] = consumer.Rule{Paused: rules.Types[typ].Paused, Limit: n}
			limits[typ] = limit.Limit{N: n, Lasts: s.state.Lasts(typ), Conditional: true}
		}
	}
	return rules, limits
}

// undrained waits until this node is not drained. The context that it returns ends when it is, or with ctx; false: ctx has
// ended. The caller calls the function it returns.
func (s *steering) undrained(ctx context.Context) (context.Context, context.CancelFunc, bool) {
	for said := false; ; {
		s.mu.Lock()
		drained, changed := s.drained, s.changed
		if !drained {
			serving, end := context.WithCancel(ctx)
			s.end = end
			s.mu.Unlock()
			return serving, end, true
		}
		s.mu.Unlock()
		if !said {
			said = true
			s.log.Warn("this node is drained: it runs nothing until it is told to go on by `tasktier node resume " + s.node + "`")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx, func() {}, false
		}
	}
}

// steer has a consumer follow what operators say; nil: there is none any more.
func (m *membership) steer(c *consumer.Consumer) {
	if m != nil {
		m.steering.steer(c)
	}
}

// undrained is [steering.undrained]; a node without etcd can't be drained.
func (m *membership) undrained(ctx context.Context) (context.Context, context.CancelFunc, bool) {
	if m != nil {
		return m.steering.undrained(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	return ctx, cancel, true
}
