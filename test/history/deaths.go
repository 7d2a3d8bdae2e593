package history

import "slices"

// deaths: no process dies unless somebody kills it.
func (c *check) deaths() {
	for _, p := range c.processes {
		if !p.died || p.killed {
			continue
		}
		culprit := slices.ContainsFunc(c.order, func(d *dossier) bool {
			return d.plan != nil && d.plan.Kills && slices.ContainsFunc(d.runs, func(r run) bool { return r.process == p && r.end == 0 })
		})
		if !culprit {
			c.wrong(NoCrash, nil, "process %s (pid %d) died by %s, and nothing had killed it", p.name, p.pid, p.death.to)
		}
	}
}
