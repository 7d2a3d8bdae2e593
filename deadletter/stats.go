package deadletter

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tasktier/tasktier/task"
)

// Stats say how many letters there are, and of what.
type Stats struct {
	Queue   string
	Letters int64
	// Bytes is the size of their keys, values and headers, before compression.
	Bytes int64
	// Reasons has those that occur; ReasonOther stands for what no version of tasktier has written.
	Reasons map[task.Reason]int64
	// Types are the most frequent types of task, up to [MaxTypes], the most frequent first, and OtherTypes counts the letters
	// of all others.
	Types      []TypeCount
	OtherTypes int64
	// Oldest and Newest are the first and the last time of death; zero without letters.
	Oldest, Newest time.Time
}

// A TypeCount says how many letters there are of a type.
type TypeCount struct {
	// Type is "" for records that have none.
	Type    string
	Letters int64
}

// ReasonOther stands for reasons that are not known.
const ReasonOther task.Reason = "other"

const (
	// MaxTypes bounds the types that are told apart in [Stats].
	MaxTypes = 100
	// maxNames bounds how many types, and how many groups, are told apart in a partition while it is read: whoever makes
	// types up must not fill the memory.
	maxNames = 10_000
)

// known are the reasons that tasktier writes.
var known = []task.Reason{
	task.ReasonFailed, task.ReasonExhausted, task.ReasonPoison, task.ReasonExpired, task.ReasonUnhandled, task.ReasonUndecodable,
	task.ReasonInvalid, task.ReasonOversize, ReasonOther,
}

// statsNote is what is kept of a letter to be counted.
type statsNote struct {
	died   int64 // Unix milliseconds
	bytes  uint32
	typ    uint16 // in its partition's types
	reason uint8  // in known
}

// Stats counts the letters of a queue that match. It reads the topic once, and keeps some 60 bytes for each of them.
func (s *Store) Stats(ctx context.Context, queue string, f Filter, opts ...ReadOption) (Stats, error) {
	src, spans, err := s.open(ctx, queue)
	if err != nil {
		return Stats{}, err
	}
	types := make(map[int32]*register, len(spans))
	for _, sp := range spans {
		types[sp.partition] = newRegister()
	}
	notes, err := scan(ctx, src, spans, opts, func(partition int32) judge[statsNote] {
		types := types[partition]
		return func(l *Letter) (statsNote, bool) {
			if !f.Match(l) {
				return statsNote{}, false
			}
			reason := slices.Index(known, l.Reason)
			if reason < 0 {
				reason = len(known) - 1
			}
			return statsNote{l.Died.UnixMilli(), uint32(l.Bytes()), types.number(l.Task.Type), uint8(reason)}, true
		}
	})
	if err != nil {
		return Stats{}, err
	}
	return tally(queue, notes, types), nil
}

func tally(queue string, notes map[int32]map[digest]statsNote, types map[int32]*register) Stats {
	st := Stats{Queue: queue, Reasons: make(map[task.Reason]int64)}
	byType, others := make(map[string]int64), int64(0)
	var reasons [256]int64
	first, last := int64(0), int64(0)
	for partition, found := range notes {
		names := types[partition]
		counts := make([]int64, maxNames+1)
		for _, n := range found {
			if st.Letters == 0 || n.died < first {
				first = n.died
			}
			if st.Letters == 0 || n.died > last {
				last = n.died
			}
			st.Letters++
			st.Bytes += int64(n.bytes)
			reasons[n.reason]++
			counts[n.typ]++
		}
		others += counts[maxNames]
		for i, name := range names.names {
			if counts[i] > 0 {
				byType[name] += counts[i]
			}
		}
	}
	if st.Letters > 0 {
		st.Oldest, st.Newest = time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC()
	}
	for i, r := range known {
		if reasons[i] > 0 {
			st.Reasons[r] = reasons[i]
		}
	}
	for name := range maps.Keys(byType) {
		st.Types = append(st.Types, TypeCount{name, byType[name]})
	}
	slices.SortFunc(st.Types, func(a, b TypeCount) int {
		return cmp.Or(cmp.Compare(b.Letters, a.Letters), cmp.Compare(a.Type, b.Type))
	})
	for _, t := range st.Types[min(len(st.Types), MaxTypes):] {
		others += t.Letters
	}
	st.Types, st.OtherTypes = st.Types[:min(len(st.Types), MaxTypes)], others
	return st
}

// A register gives numbers to names, up to [maxNames]; all further names share that number.
type register struct {
	numbers map[string]uint16
	names   []string
}

func newRegister() *register { return &register{numbers: make(map[string]uint16)} }

func (r *register) number(name string) uint16 {
	n, known := r.numbers[name]
	if !known && len(r.names) < maxNames {
		n, known = uint16(len(r.names)), true
		r.numbers[name] = n
		r.names = append(r.names, name)
	}
	if !known {
		return maxNames
	}
	return n
}
