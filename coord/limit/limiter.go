package limit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/internal/throttle"
)

// A Limiter is a node's part in keeping limits. It is safe for concurrent use; but for Run, no method waits for etcd.
type Limiter struct {
	cfg  Config
	keys keys
	id   string // tells its keys from those of another limiter on the same session
	ran  atomic.Bool
	wake chan struct{} // has room for one: something changed that Run's goroutine has to look at

	mu     sync.Mutex
	kinds  map[string]*kind
	notify func(string)
	over   bool // Run is returning: nothing is handed out

	warnings throttle.Throttle
}

// New returns a limiter that Run makes effective.
func New(cfg Config) (*Limiter, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Limiter{
		cfg: cfg, keys: keysUnder(cfg.Prefix), id: strings.ToLower(rand.Text()[:12]),
		wake: make(chan struct{}, 1), kinds: make(map[string]*kind),
	}, nil
}

// Run takes and gives slots until ctx ends, and then returns nil; idle slots are given back first. What is in use then goes
// with the session, so end ctx when the tasks have ended, and before that of the membership, whose end is an error. It can be
// called once.
func (l *Limiter) Run(ctx context.Context) error {
	if l.ran.Swap(true) {
		return errors.New("run limits: it was run before; make a new one")
	}
	defer l.close()
	for {
		r, err := l.cfg.Members.Registered(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("run limits: %w", err)
		}
		l.serve(ctx, r)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// Set says which types are limited, instead of what it said before. It takes effect on what is taken from now on; slots that
// are too many go back when they are free.
func (l *Limiter) Set(limits map[string]Limit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for typ, limit := range limits {
		limit.N = min(max(limit.N, 0), maxN)
		k := l.kind(typ)
		k.beyond = k.beyond || limit.N < k.limit.N // until the next look at etcd says otherwise
		k.limit = limit
	}
	for typ, k := range l.kinds {
		if _, limited := limits[typ]; !limited {
			k.limit = Limit{}
		}
		k.until, k.stale = time.Time{}, false
		l.forget(typ)
	}
	l.poke()
}

// Want says how many tasks of a type this node could have at work at once now: those that run in slots and those that wait and
// would find room. 0: none; slots that nobody uses are given back. For a type without a limit it is remembered.
func (l *Limiter) Want(typ string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = max(n, 0)
	if k := l.kinds[typ]; k == nil && n == 0 || k != nil && k.want == n {
		return
	}
	k := l.kind(typ)
	before := k.missing()
	k.want = n
	after := k.missing()
	l.forget(typ)
	if k.limit.N > 0 && before != after && (before >= 0 || after > 0) {
		l.poke()
	}
}

// Take takes a slot that this node holds and that no task of it uses; false if there is none, or if the session is not
// trusted. Ask for slots with Want, and hear of them by Notify.
func (l *Limiter) Take(typ string) (*lease.Slot, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[typ]
	if k == nil || l.over || k.beyond {
		return nil, false
	}
	for _, p := range k.places {
		if p.state != idle {
			continue
		}
		if !p.slot.Lease.Trusted() {
			return nil, false
		}
		if l.review(k, p); p.state == leaving {
			continue
		}
		p.state, p.idle = used, time.Time{}
		return p.slot, true
	}
	return nil, false
}

// Release says that the task in a slot has ended. The limiter keeps the slot for the next Take, or gives it back; the package's
// documentation says when. A slot that was released already or is of a session that is over does no harm.
func (l *Limiter) Release(slot *lease.Slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[slot.Type]
	if k == nil {
		return
	}
	for i, p := range k.places {
		switch {
		case p.slot != slot:
		case p.state == void:
			k.places = append(k.places[:i], k.places[i+1:]...)
			l.forget(slot.Type)
			l.poke()
			return
		case p.state == used:
			p.state, p.idle = idle, time.Now()
			if again := l.review(k, p); !again.IsZero() {
				l.poke() // it may be due before it is taken again
			}
			return
		}
	}
}

// Notify has f called, from one goroutine, whenever Take may succeed for a type; f must not block. nil: nobody.
func (l *Limiter) Notify(f func(typ string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notify = f
}

// review gives an idle place away if that is due, else it says when to ask again.
func (l *Limiter) review(k *kind, p *place) (again time.Time) {
	again = k.review(p, time.Now(), l.cfg.Fair, l.cfg.Linger)
	if p.state == leaving {
		l.poke()
	}
	return again
}

// tell calls what Notify has set.
func (l *Limiter) tell(types []string) {
	l.mu.Lock()
	f := l.notify
	l.mu.Unlock()
	if f == nil {
		return
	}
	for _, typ := range types {
		f(typ)
	}
}

// kind returns what is known of a type; forget drops it when that is nothing.
func (l *Limiter) kind(typ string) *kind {
	k := l.kinds[typ]
	if k == nil {
		k = &kind{}
		l.kinds[typ] = k
	}
	return k
}

func (l *Limiter) forget(typ string) {
	if k := l.kinds[typ]; k != nil && k.over() && k.limit.N == 0 && k.want == 0 {
		delete(l.kinds, typ)
	}
}

// poke wakes Run's goroutine.
func (l *Limiter) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// needed says whether there is anything to do in etcd.
func (l *Limiter) needed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.kinds {
		if !k.over() {
			return true
		}
	}
	return false
}

// drop forgets all slots of a session that is over.
func (l *Limiter) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for typ, k := range l.kinds {
		*k = kind{limit: k.limit, want: k.want}
		l.forget(typ)
	}
}

// close lets nothing be handed out any more.
func (l *Limiter) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}
