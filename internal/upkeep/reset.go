package upkeep

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// A Position is an end of a partition.
type Position string

// The positions.
const (
	Start Position = "start" // what is left in the partition runs, finished or not
	End   Position = "end"   // what is in it is given up
)

// A Moved is a partition whose committed offset is set.
type Moved struct {
	Topic      string
	Partition  int32
	Offset     int64 // that is committed
	Start, End int64 // of the log
	Mirrored   bool  // the offset is the mirror's, or the start if that is trimmed by now
}

// A BusyError says that the offsets of a queue can't be set because nodes work on it.
type BusyError struct {
	Queue, Group string
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("queue %s: nodes are in its group %s, and have their own offsets; stop all nodes of the queue first, then try again", e.Queue, e.Group)
}

// PlanReset says what [Reset] would do now.
func PlanReset(ctx context.Context, in Installation, queue string, to Position) ([]Moved, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return in.planReset(ctx, in.reader(queue), to)
}

func (in Installation) planReset(ctx context.Context, r reader, to Position) ([]Moved, error) {
	members, err := in.members(ctx, r.group)
	if err != nil {
		return nil, err
	}
	if members > 0 {
		return nil, &BusyError{r.queue, r.group}
	}
	s, err := in.survey(ctx, r)
	if err != nil {
		return nil, err
	}
	m, _, err := in.readMirror(ctx, r)
	if err != nil && !unreadable(err) {
		return nil, err
	}
	moved, _ := r.resumption(s, m)
	known := len(moved)
	for _, p := range s.partitions {
		switch {
		case p.committed != unknown:
			continue
		case p.end == unknown:
			return nil, p.silent()
		case p.end == p.start:
			continue // both ends are the same, and it begins there anyway
		case slices.ContainsFunc(moved[:known], func(m Moved) bool { return m.Topic == p.topic && m.Partition == p.number }):
			continue
		}
		m := Moved{Topic: p.topic, Partition: p.number, Offset: p.start, Start: p.start, End: p.end}
		if to == End {
			m.Offset = p.end
		}
		moved = append(moved, m)
	}
	return moved, nil
}

// Reset commits, for the partitions of a queue that have records and no committed offset, where they go on: where the mirror
// says, or if it doesn't, where they begin or end. It returns what it committed, and the mirror follows. It is how an operator
// decides what an [*UnknownOffsetError] asks. A [*BusyError] says that nodes are in the group, and nothing was done. If the
// result is not nil in spite of an error, it is the mirror that could not be written.
func Reset(ctx context.Context, in Installation, queue string, to Position) ([]Moved, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r := in.reader(queue)
	moved, err := in.planReset(ctx, r, to)
	if err != nil {
		return nil, err
	}
	if err := in.commit(ctx, r, moved); errors.Is(err, errBusy) {
		return nil, &BusyError{r.queue, r.group}
	} else if err != nil {
		return nil, err
	}
	if len(moved) == 0 || in.Etcd == nil {
		return moved, nil
	}
	return moved, in.remirror(ctx, r)
}

// remirror has the mirror follow at once, whoever writes it meanwhile.
func (in Installation) remirror(ctx context.Context, r reader) error {
	for {
		m, revision, err := in.readMirror(ctx, r)
		if err != nil && !unreadable(err) {
			return err
		}
		s, err := in.survey(ctx, r)
		if err != nil {
			return err
		}
		next, changed := m.follow(s)
		if !changed {
			return nil
		}
		if err := in.writeMirror(ctx, r, next, revision); !errors.Is(err, errMirrorChanged) {
			return err
		}
	}
}
