package history

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tasktier/tasktier/task"
)

// A dossier is all that happened to one task.
type dossier struct {
	task  Task
	plan  *Plan // nil: it was never sent
	hash  uint64
	sends []sending
	runs  []run // in the order of starts, once all is read
	wants []cancellation
	// What operators did to its letters.
	replays, purges []deed
	records         []record
	claim           *final // nil: it has none
}

// A sending is a send; acked 0: its outcome is not known.
type sending struct{ at, acked Moment }

// A deed is something done to a generation.
type deed struct {
	at         Moment
	generation int32
}

// A cancellation is an operator's wish; answered 0: the answer is not known.
type cancellation struct {
	at, answered  Moment
	before, state task.State
	asked         bool
}

// A record is one of a log.
type record struct {
	topic            *topic
	partition        int32
	generation, turn int32
	attempt          int32
	tombstone        bool
	offset           int64
	appended, due    Moment
	hash             uint64
	reason           task.Reason
	passed           Moment // when it was first seen below a committed offset; 0: never
}

// A final is a claim at the end.
type final struct {
	state      task.State
	generation int32
	turn       int32
	fence      int64
	finished   Moment
	result     string
}

// A topic is one by its role.
type topic struct {
	name string
	role role
}

type role uint8

const (
	other role = iota
	pending
	tier
	dead
)

func newTopic(name string) *topic {
	t := &topic{name: name}
	switch {
	case strings.HasSuffix(name, ".pending"):
		t.role = pending
	case strings.HasSuffix(name, ".dead"):
		t.role = dead
	case strings.HasSuffix(name, ".retry.minute"), strings.HasSuffix(name, ".retry.hour"):
		t.role = tier
	}
	return t
}

// parseKey reads the key of a letter, as deadletter.Key writes it.
func parseKey(queue, key string) (t Task, generation int, ok bool) {
	length, rest, ok := strings.Cut(key, ":")
	n, err := strconv.Atoi(length)
	hash := strings.LastIndexByte(rest, '#')
	if !ok || err != nil || n < 0 || hash < n {
		return Task{}, 0, false
	}
	if generation, err = strconv.Atoi(rest[hash+1:]); err != nil {
		return Task{}, 0, false
	}
	return Task{Queue: queue, Source: rest[:n], ID: rest[n:hash]}, generation, true
}

// letters yields the letters of a generation and what takes them away, in the order of the log.
func (d *dossier) letters(generation int32) (found []*record) {
	for i := range d.records {
		if r := &d.records[i]; r.topic.role == dead && r.generation == generation {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *record) int { return int(a.offset - b.offset) })
	return found
}

// letter is the letter of a generation that lies there at the end.
func (d *dossier) letter(generation int32) *record {
	if letters := d.letters(generation); len(letters) > 0 && !letters[len(letters)-1].tombstone {
		return letters[len(letters)-1]
	}
	return nil
}

// latest is the latest generation that anything is known of, canceled claims aside.
func (d *dossier) latest() (g int32) {
	for i := range d.runs {
		g = max(g, d.runs[i].generation)
	}
	for i := range d.records {
		g = max(g, d.records[i].generation)
	}
	return g
}

// acknowledged is when the task was acknowledged first; 0: never.
func (d *dossier) acknowledged() (at Moment) {
	for _, s := range d.sends {
		if s.acked != 0 && (at == 0 || s.acked < at) {
			at = s.acked
		}
	}
	return at
}

// key is the task's ordering key; "" if it has none.
func (d *dossier) key() string {
	if d.plan == nil {
		return ""
	}
	return d.plan.Key
}
