package consumer

import (
	"math"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/watermark"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// Beside the watermark a commit carries what is finished above it, in the metadata of the offset. An assignment that
// begins at that commit completes those records as they come, without running them: so a node that died while one of its
// tasks took long does not leave all that was finished since to be done again.
//
// It must never happen that a record is taken for finished and was not. So:
//
//   - Only what a tracker calls finished is written down, which is what the watermark itself rests on, and what this
//     assignment was told and has not come to yet.
//   - The ranges are believed only beside the offset that they name: who moves the offset, by hand or from a backup, makes
//     them void, and runs those tasks again.
//   - They come in the same answer as the offset where the client begins, which calls fetched before it fetches anything.
//     If it does not come, nothing is known to be finished.
//   - They name the leader epoch of what they hold. A leader epoch and an offset name a record for good; an offset alone
//     does not: a log that lost its end, by the election of a replica that lagged behind, uses its offsets again, under a
//     newer epoch. Records that know no epoch are in no range.
//   - A log that begins below the commit, or goes back, is another one (see queue.restart). Kafka forgets the commits of a
//     topic that is deleted.
//
// Whoever can write to the group's offsets can make this node pass over tasks by them, but could by the offset alone.

const (
	// maxRanges is what a broker takes as the metadata of an offset unless it is told otherwise (offset.metadata.max.bytes).
	maxRanges = 4096
	// minRanges is too little for ranges to be worth a commit that may be refused.
	minRanges = 64
	// commitBytes bounds the metadata of one commit: it becomes one batch, for which the broker has a limit too.
	commitBytes = 512 << 10
)

// A progress is what a group knows of a partition, or is to know.
type progress struct {
	offset int64 // the watermark
	ranges string
}

var (
	// untold: the group has no offset of the partition.
	untold = progress{offset: -1}
	// void: what the group knows speaks of another log, and is to be overwritten as soon as there is a watermark.
	void = progress{offset: math.MaxInt64}
)

// fetched reads what the group knows of newly assigned partitions. The client calls it between assigned and their first
// fetch, with the offsets from which it will fetch.
func (q *queue) fetched(resp *kmsg.OffsetFetchResponse) {
	var records int64
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			if t.Topic != names.Pending(q.Name) {
				continue
			}
			for _, rp := range t.Partitions {
				q.mu.Lock()
				p := q.partitions[rp.Partition]
				q.mu.Unlock()
				if p == nil || rp.ErrorCode != 0 || rp.Offset < 0 {
					continue
				}
				known := progress{offset: rp.Offset}
				if rp.Metadata != nil {
					known.ranges = *rp.Metadata
				}
				records += p.beginAt(known)
			}
		}
	}
	if records > 0 {
		q.log.Info("taking over from an earlier node: these records above its watermarks are finished", zap.Int64("records", records))
	}
}

// beginAt lets the partition begin at what the group knows of it, and returns how many offsets above that are finished. It
// does nothing once a record was admitted.
func (p *partition) beginAt(known progress) (finished int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tracker.Offset() >= 0 {
		return 0
	}
	p.known = known
	if r, ok := watermark.Decode(known.ranges); ok && r.Watermark == known.offset {
		p.past = &r
		for s := range r.Above(known.offset) {
			finished += s.To - s.From
		}
	}
	return finished
}

// An era is the records from an offset on that were written by the leader of an epoch.
type era struct {
	from  int64
	epoch int32
}

// finished says whether the record, which is about to be admitted, was finished in an earlier assignment; p.mu is held.
func (p *partition) finished(r *kgo.Record) bool {
	if n := len(p.eras); n == 0 || p.eras[n-1].epoch != r.LeaderEpoch {
		p.eras = append(p.eras, era{r.Offset, r.LeaderEpoch})
	}
	if p.past == nil {
		return false
	}
	if r.Offset < p.past.Watermark || r.Offset >= p.past.End() {
		p.past = nil
		return false
	}
	return p.past.Contains(r.Offset, r.LeaderEpoch)
}

// due returns what the group is to know of the partition, with ranges of at most limit bytes, if it does not know it yet.
func (p *partition) due(limit int) (now progress, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now.offset = p.tracker.Offset()
	if now.offset < 0 {
		return now, false
	}
	now.ranges = p.ranges(limit)
	return now, now != p.known
}

// ranges writes down what is finished above the watermark: what this assignment knows to be finished, then what it was told
// of records that it has not come to yet; p.mu is held.
func (p *partition) ranges(limit int) string {
	at := p.tracker.Offset()
	for len(p.eras) > 1 && p.eras[1].from <= at {
		p.eras = p.eras[1:]
	}
	return watermark.Encode(at, func(yield func(watermark.Span) bool) {
		eras := p.eras
		for from, to := range p.tracker.Finished() {
			for from < to {
				for len(eras) > 1 && eras[1].from <= from {
					eras = eras[1:]
				}
				s := watermark.Span{From: from, To: to, Epoch: eras[0].epoch}
				if len(eras) > 1 {
					s.To = min(to, eras[1].from)
				}
				if from = s.To; !yield(s) {
					return
				}
			}
		}
		if p.past == nil {
			return
		}
		for s := range p.past.Above(p.tracker.Next()) {
			if !yield(s) {
				return
			}
		}
	}, limit)
}

// tell remembers what the group knows now.
func (p *partition) tell(now progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = now
}

// forget frees what the partition knows of its records. It is nobody's any more: what is still at work keeps it alive, and
// that must not keep the rest.
func (p *partition) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tracker, p.past, p.eras, p.forgotten = watermark.Tracker[*turn]{}, nil, nil, true
}
