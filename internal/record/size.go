package record

import "github.com/twmb/franz-go/pkg/kgo"

const (
	// batchOverhead is what Kafka's record batch (magic 2) needs for itself: 61 bytes.
	batchOverhead = 61
	// recordOverhead bounds what a record's framing needs: its length, the lengths of key and value, the number of
	// headers and the offset's delta as varints of up to 5 bytes, the timestamp's delta of up to 10, a byte of
	// attributes.
	recordOverhead = 5 + 1 + 10 + 5 + 5 + 5 + 5
	// headerOverhead bounds the two lengths of a header.
	headerOverhead = 5 + 5
)

// Size is an upper bound of the bytes that r takes as the only record of an uncompressed batch: key, value, headers, and
// the framing of header, record and batch at its largest. That is what a broker holds against max.message.bytes, which
// bounds batches as they are written, so a record whose Size is within a topic's limit is taken, alone in its batch
// and whatever it compresses to. It exceeds the exact size by less than 32 bytes and 9 for each header.
//
// As a measure of memory it leaves out the Go values: about 250 bytes for a record and 40 for each header.
func Size(r *kgo.Record) int {
	n := batchOverhead + recordOverhead + len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += headerOverhead + len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}
