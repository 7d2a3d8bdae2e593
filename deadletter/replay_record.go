package deadletter

import (
	"fmt"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/twmb/franz-go/pkg/kgo"
)

// next is the record by which a letter's task comes back: the original, byte for byte and under the key that it had, with
// the next generation. One without an identity is as it came.
func (l *Letter) next() *kgo.Record {
	var s record.Stamp
	if l.hasIdentity() {
		s = record.Stamp{Generation: l.Generation + 1, Turn: 1, Attempt: 1}
	}
	return record.Move(l.Record, names.Pending(l.Queue), l.OriginalKey(), s)
}

// edited is next with another payload. In binary mode that is the record's value, and all else stays as it is. From any
// other form the task is written anew in binary mode: it has the same attributes, but not the same bytes.
func (l *Letter) edited(payload []byte) (*kgo.Record, error) {
	if l.Bad != nil {
		return nil, fmt.Errorf("edit letter %q: it is no task: %w", l.ID(), l.Bad)
	}
	// In the other forms the payload is a part of the value, and there is more to it.
	if len(l.Task.Payload) == len(l.Record.Value) {
		r := l.next()
		r.Value = payload
		if payload == nil {
			r.Value = []byte{}
		}
		return r, nil
	}
	t := l.Task
	t.Payload, t.Generation, t.Turn, t.Attempt = payload, l.Generation+1, 1, 1
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("edit letter %q: %w", l.ID(), err)
	}
	r := record.Encode(&t, names.Pending(l.Queue))
	r.Key = l.OriginalKey()
	return r, nil
}
