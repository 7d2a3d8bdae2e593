package claim

import "context"

// A claim that says alone makes poison of its task if its session goes away. So a process that ends its session knowingly,
// or loses it and goes on, takes that back first: it was not the task that took it down.

// forgive watches over the sessions until ctx ends.
func (b *Book) forgive(ctx context.Context) {
	for {
		l, err := b.cfg.Members.Wait(ctx)
		if err == nil {
			select {
			case <-l.Done():
			case <-ctx.Done():
			}
		}
		b.notAlone()
		if err != nil || ctx.Err() != nil {
			return // there will be no other session
		}
	}
}

// notAlone takes back what claims of ended runs say. The margin of the trust is the time there is for it.
func (b *Book) notAlone() {
	var ops []*op
	for _, h := range b.register.all() {
		h.mu.Lock()
		if h.have.State == Running && h.have.Flags&Alone != 0 && h.text != "" && !h.asking {
			h.have.Flags &^= Alone
			ops = append(ops, b.freshOp(h, h.text))
		}
		h.mu.Unlock()
	}
	b.swaps.add(ops...)
}
