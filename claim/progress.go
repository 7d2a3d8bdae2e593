package claim

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// progressEvery is how often the progress that handlers tell is written.
const progressEvery = time.Second

// Progress notes how far a run is, for the next round, which replaces the details by these.
func (b *Book) Progress(h *Hold, d Details) {
	d.Node = b.cfg.Node
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = &d
}

// progresses writes what handlers told, until ctx ends. It is a hint for those who look: it is written beside the claim
// without asking whose that is, and one that can't be written is forgotten.
func (b *Book) progresses(ctx context.Context) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if b.away.Load() {
			continue
		}
		pipe := b.store.client.Pipeline()
		for _, h := range b.register.all() {
			if d := h.tell(); d != nil {
				pipe.Set(ctx, h.name+detailsSuffix, d.render(h.Task), atWork)
			}
		}
		if pipe.Len() == 0 {
			continue
		}
		once, cancel := context.WithTimeout(ctx, callPatience)
		if _, err := pipe.Exec(once); err != nil && ctx.Err() == nil {
			b.failed(err)
		}
		cancel()
	}
}

// tell returns what is new of a run.
func (h *Hold) tell() *Details {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.told
	if h.asking || h.have.State != Running {
		return nil
	}
	h.told = nil
	return d
}

// Details reads what is kept beside a claim; nil if there is nothing.
func (s *Store) Details(ctx context.Context, i Identity) (*Details, error) {
	text, err := s.client.Get(ctx, i.Key().text(s.prefix)+detailsSuffix).Result()
	switch {
	case err == redis.Nil: //nolint:errorlint // it is never wrapped
		return nil, nil
	case err != nil:
		return nil, err
	}
	return parseDetails(text)
}
