package claim

import "sync"

// A register knows the holds of this process, one per task at most: so that "mine, with nothing in flight here" can be
// told from a second record of a task that is at work.
type register struct {
	shards [buckets]struct {
		mu    sync.Mutex
		holds map[Key]*Hold
	}
}

func (r *register) init() {
	for i := range r.shards {
		r.shards[i].holds = make(map[Key]*Hold)
	}
}

// enter takes the hold in, unless another one of its task is there.
func (r *register) enter(h *Hold) bool {
	s := &r.shards[h.key.bucket()]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.holds[h.key]; taken {
		return false
	}
	s.holds[h.key] = h
	h.entered = true
	return true
}

func (r *register) leave(h *Hold) {
	s := &r.shards[h.key.bucket()]
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.entered {
		delete(s.holds, h.key)
		h.entered = false
	}
}

// all returns the holds that are here now.
func (r *register) all() []*Hold {
	var all []*Hold
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for _, h := range s.holds {
			all = append(all, h)
		}
		s.mu.Unlock()
	}
	return all
}
