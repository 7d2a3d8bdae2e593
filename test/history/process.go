package history

import (
	"cmp"
	"slices"
	"time"
)

// A process is one that took part.
type process struct {
	name string
	pid  int
	last Moment // of the events in its own file

	killed, stopped, died bool
	death                 span // when it ended: from when it may, until it surely had
	pauses                []span
	overs                 []Moment
	losses                []loss
}

// A loss is a session of a process that ended, or may have, while the process went on: at some moment of its span.
type loss struct {
	span
	certain bool   // it did
	why     string // for people
}

// happened takes an event that was done to the process, or that it saw in itself.
func (p *process) happened(e *Event) {
	switch e.Kind {
	case Killed:
		p.killed = true
		p.death.from = e.At
	case Died:
		p.died = true
		p.death.to = e.At
	case Stopped:
		p.stopped = true
		p.death.to = e.At
	case Paused:
		p.pauses = append(p.pauses, span{from: e.At})
	case Resumed:
		if n := len(p.pauses); n > 0 && p.pauses[n-1].to == 0 {
			p.pauses[n-1].to = e.At
		}
	case Over:
		p.overs = append(p.overs, e.At)
	default: // it is no process's, see take
	}
}

// settle concludes when the process died and when its sessions ended, when all has been read.
func (p *process) settle(w *world) {
	if p.killed && !p.died && !p.stopped {
		p.died = true
		p.death.to = w.last
	}
	if (p.died || p.stopped) && p.death.from == 0 {
		p.death.from = min(p.last, p.death.to)
	}
	for i := range p.pauses {
		pause := &p.pauses[i]
		if pause.to == 0 {
			pause.to = w.last
			if p.died {
				pause.to = p.death.to
			}
		}
		// The last keepalive before it was sent a third of the lease earlier at most, and is trusted for less than a lease.
		if lasted := pause.to.Sub(pause.from); lasted > w.rules.Lease*9/20 {
			p.losses = append(p.losses, loss{*pause, lasted >= w.rules.Lease, "was paused"})
		}
	}
	for _, at := range p.overs {
		// It says so when it sees it. How long it may have been over by then: until others could see the key gone, and it
		// may have been slow; an etcd that forgot the key takes until the next keepalive to say so.
		from := at.Add(-w.rules.Lease / 2)
		for _, f := range w.faults {
			if !f.hits("etcd", p) || !f.meets(at.Add(-w.rules.Lease), at) {
				continue
			}
			from = at.Add(-w.rules.Lease)
			// It goes on without a registered session, and nobody sees that it lives.
			p.losses = append(p.losses, loss{span{at, max(at, f.to.Add(w.rules.Lease))}, false, "went on without etcd"})
		}
		p.losses = append(p.losses, loss{span{from, at}, true, "lost its session"})
	}
	slices.SortFunc(p.losses, func(a, b loss) int { return cmp.Compare(a.from, b.from) })
}

// deadline is until when the end of a run may have gone unrecorded.
func (w *world) deadline(r *run) Moment {
	until := r.end.Add(w.rules.Unrecorded)
	for more := true; more; {
		more = false
		extend := func(s span, after time.Duration) {
			if later := s.to.Add(after); s.meets(r.end, until) && later > until {
				until, more = later, true
			}
		}
		for _, f := range w.faults {
			if f.hits("redis", r.process) || r.outcome != Succeeded && f.hits("kafka", r.process) {
				extend(f.span, recovery)
			}
		}
		for _, pause := range r.process.pauses {
			extend(pause, w.rules.Unrecorded)
		}
	}
	return until
}

// undead says whether a process may act in the name of a session that is over, because it was paused and has just gone on.
func (w *world) undead(p *process, at Moment) bool {
	return slices.ContainsFunc(p.losses, func(l loss) bool {
		return l.why == "was paused" && l.from <= at && at <= l.to.Add(w.rules.Zombie)
	})
}
