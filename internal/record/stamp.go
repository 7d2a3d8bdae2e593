package record

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Bounds of a stamp's texts in bytes. They hold for what is written and for what is read, so that a stamp fits into the
// 64 KiB that retry tiers and dead-letter topics take beyond what pending takes.
const (
	MaxError = 4 << 10 // of each of the two error texts

	maxReason = 64
	maxOrigin = 512
	maxNode   = 256
)

// maxMillis is the end of the year 9999, the last that RFC 3339 can write, in Unix milliseconds.
const maxMillis = 253402300799999

// A Stamp is what tasktier adds to a record that it moves. The zero value of a field says nothing and is not written;
// so it is for Generation, Turn and Attempt when Turn is 0, which says that the record is no task.
type Stamp struct {
	// Queue is where a record of a retry tier returns to, and Due when, to the millisecond.
	Queue string
	Due   time.Time
	// Generation, Turn and Attempt are those of the turn to come.
	Generation, Turn, Attempt int
	// Err is the last error and FirstErr the first one of this generation. They are cut at [MaxError] bytes.
	Err, FirstErr string
	// Reason says why the task is dead.
	Reason task.Reason
	// Origin is where the record was first read, as topic/partition/offset, and Node who gave it up.
	Origin, Node string
	// Key is the key that the record had before a dead-letter topic gave it another one. Nil: it had none.
	Key []byte
	// Died is when, to the millisecond.
	Died time.Time
	// Crashes counts the processes that died while they ran the task.
	Crashes int
}

// Move returns a record for topic with the value and the headers of r, byte for byte and in their order; only the
// headers of an earlier stamp are replaced by those of s, at the end. A null value becomes an empty one, which to readers
// is the same: in a dead-letter topic, which is compacted, a null would be the tombstone of its own letter. Timestamp and
// partition are left for the client to choose. Value, key and headers are shared with r, which is not changed.
func Move(r *kgo.Record, topic string, key []byte, s Stamp) *kgo.Record {
	s.Err, s.FirstErr = clip(s.Err, MaxError), clip(s.FirstErr, MaxError)
	s.Origin, s.Node = clip(s.Origin, maxOrigin), clip(s.Node, maxNode)
	w := writer{
		headers: make([]kgo.RecordHeader, 0, len(r.Headers)+13),
		buf:     make([]byte, 0, len(s.Queue)+len(s.Err)+len(s.FirstErr)+len(s.Reason)+len(s.Origin)+len(s.Node)+6*maxNumber),
	}
	for _, h := range r.Headers {
		if !stamped(h.Key) {
			w.headers = append(w.headers, h)
		}
	}
	w.optional("ce_ttqueue", s.Queue)
	w.millis("ce_ttdue", s.Due)
	if s.Turn > 0 {
		w.number("ce_ttgeneration", int64(s.Generation), -1)
		w.number("ce_ttturn", int64(s.Turn), 0)
		w.number("ce_ttattempt", int64(max(s.Attempt, 1)), 0)
	}
	w.optional("ce_tterror", s.Err)
	w.optional("ce_ttfirsterror", s.FirstErr)
	w.optional("ce_ttreason", string(s.Reason))
	w.optional("ce_ttorigin", s.Origin)
	w.optional("ce_ttnode", s.Node)
	w.millis("ce_ttdied", s.Died)
	w.number("ce_ttcrashes", int64(s.Crashes), 0)
	if s.Key != nil {
		w.headers = append(w.headers, kgo.RecordHeader{Key: "ce_ttkey", Value: s.Key})
	}
	value := r.Value
	if value == nil {
		value = []byte{}
	}
	return &kgo.Record{Topic: topic, Key: key, Value: value, Headers: w.headers}
}

// Unstamped are the headers of r in their order, without those of a stamp.
func Unstamped(r *kgo.Record) []kgo.RecordHeader {
	headers := make([]kgo.RecordHeader, 0, len(r.Headers))
	for _, h := range r.Headers {
		if !stamped(h.Key) {
			headers = append(headers, h)
		}
	}
	return headers
}

func (w *writer) optional(key, value string) {
	if value != "" {
		w.text(key, value)
	}
}

// millis writes at rounded up to a whole millisecond: a due time must not become earlier.
func (w *writer) millis(key string, at time.Time) {
	if !at.IsZero() {
		w.number(key, min(max(at.Add(time.Millisecond-1).UnixMilli(), 0), maxMillis), -1)
	}
}

// clip makes s valid UTF-8 of at most limit bytes. It looks at no more of s than it needs: error texts may be as long as
// what a handler read from somewhere.
func clip(s string, limit int) string {
	s = strings.ToValidUTF8(s[:min(len(s), limit+utf8.UTFMax)], "\uFFFD")
	if len(s) <= limit {
		return s
	}
	end := limit
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// ReadStamp reads the stamp of a record. A record without one has the zero Stamp. Whoever may write to the topic may
// have written it, so nothing in it is trusted: numbers and times out of bounds, and queues that can't exist, are
// reported, as an *[Error] with the reason invalid, and left zero; texts that are too long or not UTF-8 are mended. What
// could be read is returned in either case. Whether a due time makes sense is for the caller to say. Key aliases the
// header's memory.
func ReadStamp(r *kgo.Record) (Stamp, error) {
	var (
		s   Stamp
		bad *Error
	)
	for i := range r.Headers {
		h := &r.Headers[i]
		if !stamped(h.Key) {
			continue
		}
		if err := s.set(h.Key[len(prefix):], h.Value); err != nil && bad == nil {
			bad = &Error{Reason: task.ReasonInvalid, Attribute: h.Key[len(prefix):], Err: err}
		}
	}
	if bad != nil {
		return s, bad
	}
	return s, nil
}

// set reads one header.
func (s *Stamp) set(name string, v []byte) (err error) {
	switch name {
	case "ttqueue":
		s.Queue = ""
		if err = names.ValidQueue(string(v[:min(len(v), names.MaxQueue+1)])); err == nil {
			s.Queue = string(v)
		}
	case "ttdue":
		s.Due, err = millis(v)
	case "ttgeneration":
		s.Generation, err = count(v, 0)
	case "ttturn":
		s.Turn, err = count(v, 1)
	case "ttattempt":
		s.Attempt, err = count(v, 1)
	case "tterror":
		s.Err = clipped(v, MaxError)
	case "ttfirsterror":
		s.FirstErr = clipped(v, MaxError)
	case "ttreason":
		s.Reason = task.Reason(clipped(v, maxReason))
	case "ttorigin":
		s.Origin = clipped(v, maxOrigin)
	case "ttnode":
		s.Node = clipped(v, maxNode)
	case "ttdied":
		s.Died, err = millis(v)
	case "ttcrashes":
		s.Crashes, err = count(v, 0)
	case "ttkey":
		s.Key = v
	}
	return err
}

func clipped(v []byte, limit int) string {
	return clip(string(v[:min(len(v), limit+utf8.UTFMax)]), limit)
}

func millis(v []byte) (time.Time, error) {
	n, ok := integer(v, maxMillis)
	if !ok {
		return time.Time{}, fmt.Errorf("is %.64q, not a time in Unix milliseconds", v)
	}
	return time.UnixMilli(n).UTC(), nil
}

func count(v []byte, least int) (int, error) {
	n, ok := integer(v, maxInt)
	if !ok || int(n) < least {
		return 0, fmt.Errorf("is %.64q, not a number from %d to %d", v, least, maxInt)
	}
	return int(n), nil
}
