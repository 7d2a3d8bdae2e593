package history

import "github.com/tasktier/tasktier/task"

// zombies: the one that counts is the last that was begun, and those that live on are told.
func (c *check) zombies(d *dossier) {
	for i := range d.runs {
		c.told(d, &d.runs[i])
	}
	f := d.claim
	if f == nil || f.state != task.Succeeded {
		return
	}
	var winner *run
	for i := range d.runs {
		if r := &d.runs[i]; r.generation == f.generation && r.fence == f.fence && r.answer() == success {
			winner = r
		}
	}
	if winner == nil {
		if !c.forgot(c.first, c.last) {
			c.wrong(ZombiesLose, d, "its claim says that fence %d succeeded, and no run of it did", f.fence)
		}
		return
	}
	if c.forgot(winner.start, c.last) {
		return
	}
	if f.result != "" && f.result != runName(winner.process.name, winner.fence) {
		c.wrong(ZombiesLose, d, "its result is %q, and fence %d of %s succeeded", f.result, f.fence, winner.process.name)
	}
	for i := range d.runs {
		if r := &d.runs[i]; r.fence > winner.fence && !c.proceeded(winner, r) {
			c.wrong(ZombiesLose, d, "run %s counts, though run %s had begun after it", winner, r)
			return
		}
	}
}

// told: the context of a run ends soon after its session.
func (c *check) told(d *dossier, r *run) {
	if r.cause != "" || c.proceeded(r, r) {
		return // it was, or has no session that could end
	}
	for _, l := range r.process.losses {
		if l.certain && r.start < l.from && r.end > l.to.Add(c.rules.Zombie) {
			c.wrong(ZombiesLose, d, "run %s went on until %s, though its process %s by %s, and its context had not ended", r, r.end, l.why, l.to)
			return
		}
	}
}
