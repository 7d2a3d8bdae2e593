package limit

// Stats is how a type with a limit stands on this node.
type Stats struct {
	N       int  // the limit; 0 when it was lifted and slots are still at work
	Held    int  // slots that this node has
	InUse   int  // those of them in which a task is at work
	Waiting bool // it stands in line for another one
}

// Stats returns how each type with a limit stands.
func (l *Limiter) Stats() map[string]Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]Stats)
	for typ, k := range l.kinds {
		if k.limit.N > 0 || len(k.places) > 0 {
			all[typ] = Stats{N: k.limit.N, Held: k.held(), InUse: k.inUse(), Waiting: k.waiting}
		}
	}
	return all
}
