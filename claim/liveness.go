package claim

import (
	"context"
	"sync"
	"time"

	"github.com/tasktier/tasktier/internal/throttle"
	"go.uber.org/zap"
)

// A checker asks the registry whether sessions live: each once at a time, however many tasks ask. That one lives holds for
// a moment. That one is gone holds for nobody but those who waited for that answer, having read the claim before: a session
// that was used while etcd was away from its node may register later, and what it begins then is not to be taken from it.
type checker struct {
	members Members
	log     *zap.Logger
	trouble throttle.Throttle

	mu      sync.Mutex
	lives   map[string]time.Time // when the registry said so
	waiting map[string][]func(alive bool)
	work    chan struct{} // has a token when somebody waits
	ended   bool
}

const (
	// aliveFor is how long the answer "alive" serves.
	aliveFor = 500 * time.Millisecond
	// checkPatience bounds one question to the registry.
	checkPatience = 3 * time.Second
	// mostKnown bounds the sessions that are remembered.
	mostKnown = 1000
)

func newChecker(m Members, log *zap.Logger) *checker {
	return &checker{
		members: m, log: log,
		lives: make(map[string]time.Time), waiting: make(map[string][]func(bool)), work: make(chan struct{}, 1),
	}
}

// ask has tell called, at once or by the goroutine of run. A registry that can't be asked counts as alive: nothing is
// taken from anybody on a suspicion.
func (c *checker) ask(session string, tell func(alive bool)) {
	c.mu.Lock()
	at, ok := c.lives[session]
	switch {
	case ok && time.Since(at) < aliveFor:
		c.mu.Unlock()
		tell(true)
		return
	case c.ended:
		c.mu.Unlock()
		tell(true)
		return
	}
	c.waiting[session] = append(c.waiting[session], tell)
	c.mu.Unlock()
	select {
	case c.work <- struct{}{}:
	default:
	}
}

func (c *checker) run(ctx context.Context) {
	for {
		select {
		case <-c.work:
		case <-ctx.Done():
			c.mu.Lock()
			c.ended = true
			c.mu.Unlock()
			c.each(func(string) bool { return true })
			return
		}
		c.each(func(session string) bool {
			once, cancel := context.WithTimeout(ctx, checkPatience)
			defer cancel()
			alive, err := c.members.Alive(once, session)
			if err == nil {
				return alive
			}
			if ctx.Err() == nil && c.trouble.Allow() {
				c.log.Warn("the registry can't be asked whether a node lives; nothing is taken over", zap.String("owner", session), zap.Error(err))
			}
			return true
		})
	}
}

// each answers for every session that somebody waits for.
func (c *checker) each(alive func(session string) bool) {
	for {
		c.mu.Lock()
		var session string
		var tell []func(bool)
		for session, tell = range c.waiting {
			delete(c.waiting, session)
			break
		}
		c.mu.Unlock()
		if tell == nil {
			return
		}
		lives := alive(session)
		c.mu.Lock()
		if lives {
			if len(c.lives) >= mostKnown {
				clear(c.lives)
			}
			c.lives[session] = time.Now()
		}
		c.mu.Unlock()
		for _, t := range tell {
			t(lives)
		}
	}
}
