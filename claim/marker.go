package claim

import (
	"context"

	"github.com/tasktier/tasktier/internal/nap"
	"github.com/tasktier/tasktier/internal/throttle"
	"github.com/tasktier/tasktier/task"
	"go.uber.org/zap"
)

// mostMarked is how many marks may wait in a node.
const mostMarked = 10_000

// A marker writes a node's marks, in batches and off the way of its tasks.
type marker struct {
	store   *Store
	log     *zap.Logger
	box     *mailbox[mark]
	trouble throttle.Throttle
}

func newMarker(s *Store, log *zap.Logger) *marker {
	return &marker{store: s, log: log, box: newMailbox[mark](mostMarked)}
}

// run writes until ctx ends, and then for up to a second what waits still. While Redis is away it keeps what it has.
func (m *marker) run(ctx context.Context) {
	calls, cancel := outlast(ctx)
	defer cancel()
	var batch []mark
	for {
		batch = m.box.take(ctx, batch, maxBatch)
		if len(batch) == 0 {
			return
		}
		for pause := minPause; ; pause = min(2*pause, maxPause) {
			once, end := context.WithTimeout(calls, hintPatience)
			err := m.store.mark(once, batch)
			end()
			if err == nil {
				break
			}
			if m.trouble.Allow() {
				m.log.Warn("failed tasks can't be indexed; 'task list' misses them", zap.Error(err))
			}
			if !nap.For(calls, pause) {
				m.box.refused.Add(uint64(len(batch)))
				break
			}
		}
	}
}

// note keeps for those who ask what became of a run that is over.
func (b *Book) note(h *Hold) {
	id, at := Identity{h.Task.Queue, h.Task.Source, h.Task.ID}, h.have.At
	switch h.have.State {
	case Retrying:
		b.marker.box.put(mark{id, task.Retrying, at})
	case Dead:
		b.marker.box.put(mark{id, task.Dead, at})
	case Succeeded, Canceled:
		b.recent.add(h)
	default: // put off, or given back
	}
}
