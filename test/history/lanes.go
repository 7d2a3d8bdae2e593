package history

import (
	"cmp"
	"slices"
)

// A lane is an ordering key of a queue.
type lane struct{ queue, key string }

// queued is a task in its lane, by where it was written first.
type queued struct {
	d         *dossier
	partition int32
	offset    int64
}

// lanes: in an ordered queue no task starts before the one in front of it has ended. What has to wait for its time leaves
// its lane, and is not looked at.
func (c *check) lanes() {
	lanes := make(map[lane][]queued)
	for _, d := range c.order {
		if d.key() == "" || d.plan.NotBefore != 0 {
			continue
		}
		first := -1
		for i := range d.records {
			if r := &d.records[i]; r.topic.role == pending && r.generation == 0 && (first < 0 || r.offset < d.records[first].offset) {
				first = i
			}
		}
		if first >= 0 {
			l := lane{d.task.Queue, d.plan.Key}
			lanes[l] = append(lanes[l], queued{d, d.records[first].partition, d.records[first].offset})
		}
	}
	for l, tasks := range lanes {
		slices.SortFunc(tasks, func(a, b queued) int { return cmp.Compare(a.offset, b.offset) })
		for i := 1; i < len(tasks); i++ {
			a, b := tasks[i-1], tasks[i]
			if a.partition != b.partition || len(b.d.runs) == 0 {
				continue // another number of partitions by then, or never run
			}
			start := b.d.runs[0].start
			if ended := c.ended(a.d, 0); ended == 0 || ended > start+grain {
				c.wrong(InOrder, b.d, "it starts at %s, and %s in front of it with key %q had not ended", start, a.d.task, l.key)
			}
		}
	}
}
