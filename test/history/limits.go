package history

import (
	"cmp"
	"maps"
	"slices"
)

// A held is a run of a limited type, for as long as it runs in the name of a session that lasts.
type held struct {
	d     *dossier
	r     *run
	until Moment
}

// limits: of each limited type no more run at once than it allows.
func (c *check) limits() {
	byType := make(map[string][]held)
	for _, d := range c.order {
		if d.plan == nil || d.plan.Limit == 0 {
			continue
		}
		for i := range d.runs {
			r := &d.runs[i]
			if !c.undead(r.process, r.start) {
				byType[d.plan.Type] = append(byType[d.plan.Type], held{d, r, c.holds(r)})
			}
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(byType)) {
		runs := byType[typ]
		slices.SortFunc(runs, func(a, b held) int { return cmp.Compare(a.r.start, b.r.start) })
		c.atOnce(typ, runs)
		c.tokens(typ, runs)
	}
}

// holds is until when a run runs and its session lasts.
func (c *check) holds(r *run) Moment {
	until := r.end
	if until == 0 {
		until = c.last
	}
	if p := r.process; p.died || p.stopped {
		until = min(until, max(p.death.from, r.start))
	}
	if l := c.lost(r); l != nil {
		until = min(until, max(l.from, r.start))
	}
	if over(r.cause) {
		until = r.start // not known; it ended in time
		for _, l := range r.process.losses {
			until = max(until, min(r.end, l.from))
		}
	}
	return until
}

func (c *check) atOnce(typ string, runs []held) {
	var now []held
	for _, h := range runs {
		now = slices.DeleteFunc(now, func(o held) bool { return o.until <= h.r.start })
		now = append(now, h)
		c.report.AtOnce[typ] = max(c.report.AtOnce[typ], len(now))
		if len(now) > h.d.plan.Limit {
			c.wrong(Limited, h.d, "run %s is number %d of type %s, of which %d may run: beside %s of %s", h.r, len(now), typ, h.d.plan.Limit, now[0].r, now[0].d.task)
		}
	}
}

// tokens: each is one process's, and of a lock they grow with whoever has it. An etcd that lost its data begins anew.
func (c *check) tokens(typ string, runs []held) {
	of := make(map[int64]held)
	var latest held
	for _, h := range runs {
		if h.r.slot == 0 {
			c.wrong(Limited, h.d, "run %s of the limited type %s has no token", h.r, typ)
			continue
		}
		if before, ok := of[h.r.slot]; ok && before.r.process != h.r.process && !c.etcdForgot(before.r.start, h.r.start) {
			c.wrong(Limited, h.d, "run %s has the token %d, as had %s of %s", h.r, h.r.slot, before.r, before.d.task)
		}
		of[h.r.slot] = h
		if h.d.plan.Limit == 1 && latest.r != nil && h.r.slot < latest.r.slot && !c.etcdForgot(latest.r.start, h.r.start) {
			c.wrong(Limited, h.d, "run %s has the token %d, and %s of %s before it %d", h.r, h.r.slot, latest.r, latest.d.task, latest.r.slot)
			continue
		}
		latest = h
	}
}

func (c *check) etcdForgot(from, to Moment) bool {
	return slices.ContainsFunc(c.faults, func(f *fault) bool {
		return f.server == "etcd" && f.forgets != Nothing && f.meets(from, to)
	})
}
