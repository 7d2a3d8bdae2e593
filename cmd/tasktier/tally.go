package main

import (
	"crypto/sha256"
	"sync"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

// A tally keeps account of the tasks that were sent from a file: every one of them ends as one of the counts. Tasks are
// told apart by source and id; sending one again is sending the same task, so it is counted once as a task and once as
// a duplicate.
type tally struct {
	mu      sync.Mutex
	tasks   map[identity]bool // whether it has ended
	waiting int               // tasks that have not
	sealed  bool              // nothing more will be sent
	over    chan struct{}     // closed when it is sealed and nothing is waiting

	count outcomes
}

// An identity is a digest of source and id, so that a task of a large file costs few bytes.
type identity [16]byte

func identify(source, id string) identity {
	sum := sha256.Sum256([]byte(source + "\x00" + id))
	return identity(sum[:16])
}

// outcomes count how the tasks of a file ended.
type outcomes struct {
	Succeeded  int                 `json:"succeeded"`
	Dead       int                 `json:"dead"`
	Reasons    map[task.Reason]int `json:"reasons,omitempty"` // of the dead
	Duplicates int                 `json:"duplicates"`        // sent more than once: the same task
	Unfinished int                 `json:"unfinished"`        // had not ended when the command stopped
}

func newTally() *tally {
	return &tally{tasks: map[identity]bool{}, over: make(chan struct{})}
}

// expect is called before a task is sent, and says whether it is new.
func (t *tally) expect(source, id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	who := identify(source, id)
	if _, known := t.tasks[who]; known {
		t.count.Duplicates++
		return false
	}
	t.tasks[who] = false
	t.waiting++
	return true
}

// unsent takes back what expect was told.
func (t *tally) unsent(source, id string, isNew bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	who := identify(source, id)
	if !isNew {
		t.count.Duplicates--
		return
	}
	if ended := t.tasks[who]; ended {
		return // it was written after all
	}
	delete(t.tasks, who)
	t.waiting--
	t.check()
}

// settle notes how a delivery ended, and says whether that ended a task of the file. The first end counts.
func (t *tally) settle(s consumer.Settled) bool {
	if !s.State.Terminal() {
		return false // it comes back
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	who := identify(s.Task.Source, s.Task.ID)
	if ended, known := t.tasks[who]; !known || ended {
		return false
	}
	t.tasks[who] = true
	t.waiting--
	if s.State == task.Succeeded {
		t.count.Succeeded++
	} else {
		t.count.Dead++
		if t.count.Reasons == nil {
			t.count.Reasons = map[task.Reason]int{}
		}
		t.count.Reasons[s.Reason]++
	}
	t.check()
	return true
}

// seal says that nothing more will be sent.
func (t *tally) seal() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sealed = true
	t.check()
}

// check closes over when all is done; t.mu is held.
func (t *tally) check() {
	if t.sealed && t.waiting == 0 {
		select {
		case <-t.over:
		default:
			close(t.over)
		}
	}
}

// outcomes returns the counts so far.
func (t *tally) outcomes() outcomes {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.count
	n.Unfinished = t.waiting
	if t.count.Reasons != nil {
		n.Reasons = map[task.Reason]int{}
		for reason, count := range t.count.Reasons {
			n.Reasons[reason] = count
		}
	}
	return n
}
