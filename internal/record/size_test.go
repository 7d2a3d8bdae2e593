package record_test

import (
	"testing"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// exact is the size of r as the only record of an uncompressed batch, by encoding it.
func exact(r *kgo.Record) int {
	rec := kmsg.Record{TimestampDelta64: 1 << 40, OffsetDelta: 0, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		rec.Headers = append(rec.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
	}
	rec.Length = int32(len(rec.AppendTo(nil)) - 1) // its own length takes one byte while it is zero
	batch := kmsg.RecordBatch{Records: rec.AppendTo(nil)}
	return len(batch.AppendTo(nil)) - 4 // less the length of Records, which a batch does not have on the wire
}

func TestSize(t *testing.T) {
	many := &kgo.Record{}
	for range 100 {
		many.Headers = append(many.Headers, headers("", "")...)
	}
	for name, r := range map[string]*kgo.Record{
		"empty":         {},
		"binary":        binary("x", "y"),
		"many headers":  many,
		"large":         {Key: make([]byte, 300), Value: make([]byte, 1<<20), Headers: headers("a", string(make([]byte, 1<<20)))},
		"large headers": binary("a", string(make([]byte, 60<<10))),
	} {
		got, is := record.Size(r), exact(r)
		if got < is || got >= is+32+9*len(r.Headers) {
			t.Errorf("%s: Size is %d, the batch has %d bytes", name, got, is)
		}
	}
}
