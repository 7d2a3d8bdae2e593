package deadletter

import (
	"context"
	"time"
)

// burst is how much of the time that was lost a pace makes good.
const burst = 100 * time.Millisecond

// A pace spreads letters over time. It is for one goroutine.
type pace struct {
	each time.Duration // between two letters; 0: no bound
	next time.Time     // the time of the next
}

func newPace(rate int) pace {
	if rate == 0 {
		return pace{}
	}
	return pace{each: max(1, time.Second/time.Duration(rate))}
}

// wait waits for the time of the next letter.
func (p *pace) wait(ctx context.Context) error {
	if p.each == 0 {
		return nil
	}
	now := time.Now()
	if p.next.Before(now.Add(-burst)) {
		p.next = now
	}
	ahead := p.next.Sub(now)
	p.next = p.next.Add(p.each)
	if ahead < time.Millisecond { // finer than timers are
		return context.Cause(ctx)
	}
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
