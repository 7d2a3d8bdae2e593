package claim

import "sync/atomic"

// A lot is the turns that were begun together and whose claims are the same text: same queue, turn, attempt and type, and
// one fencing token, which need only grow from run to run of one task. So a text is made, sent and kept once for all of
// them, and they end alike too.
type lot struct {
	queue string
	sheet
	ended atomic.Pointer[sheet]
}

// A sheet is a claim as it is written, and the counter's field that it counts for. It does not change.
type sheet struct {
	claim Claim
	text  string
	field string
}

func newLot(queue string, c Claim) *lot {
	return &lot{queue: queue, sheet: sheet{claim: c, text: c.String()}}
}

// fits says whether a turn's claim is the lot's but for the fence.
func (l *lot) fits(queue string, c Claim) bool {
	c.Fence = l.claim.Fence
	return c == l.claim && queue == l.queue
}

// end is the sheet of a turn of this lot whose claim has become c: mostly the one that was made for its neighbour.
func (l *lot) end(c Claim) *sheet {
	if s := l.ended.Load(); s != nil && s.claim == c {
		return s
	}
	s := newSheet(l.queue, l.claim, c)
	l.ended.Store(s)
	return s
}

// newSheet writes next, which follows have.
func newSheet(queue string, have, next Claim) *sheet {
	return &sheet{claim: next, text: next.String(), field: counter(queue, have, next)}
}
