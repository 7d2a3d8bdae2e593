package claim

import (
	"context"
	"sync"

	"github.com/tasktier/tasktier/coord/lease"
)

// A park keeps the holds that were begun while this process had no session.
type park struct {
	mu     sync.Mutex
	holds  []*Hold
	closed bool
	wake   chan struct{} // has a token when a hold is there
}

// add says whether the hold was taken: not any more when the book is closed.
func (p *park) add(h *Hold) bool {
	p.mu.Lock()
	open := !p.closed
	if open {
		p.holds = append(p.holds, h)
	}
	p.mu.Unlock()
	if !open {
		return false
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return true
}

// close returns what is left.
func (p *park) close() []*Hold {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	return p.take()
}

func (p *park) take() []*Hold {
	p.mu.Lock()
	defer p.mu.Unlock()
	holds := p.holds
	p.holds = nil
	return holds
}

// session is the one to begin under; nil if there is none that can be used.
func (b *Book) session() *lease.Lease {
	l := b.cfg.Members.Lease()
	if l == nil {
		return nil
	}
	select {
	case <-l.Done():
		return nil
	default:
		return l
	}
}

// resume begins parked holds when there is a session, until ctx ends; then they are answered.
func (b *Book) resume(ctx context.Context) {
	refuse := func(holds []*Hold) {
		for _, h := range holds {
			b.decide(h, Again)
		}
		b.flush()
	}
	for ctx.Err() == nil {
		select {
		case <-b.parked.wake:
			if _, err := b.cfg.Members.Wait(ctx); err == nil {
				b.Begin(b.parked.take()...)
			} else {
				refuse(b.parked.take())
			}
		case <-ctx.Done():
		}
	}
	refuse(b.parked.close())
}
