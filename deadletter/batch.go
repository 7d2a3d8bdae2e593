package deadletter

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// errDamaged says that a batch is not what its format says.
var errDamaged = errors.New("the batch is damaged")

// A scanner takes apart the records of a batch. Once something is missing, all that follows is zero.
type scanner struct {
	in  []byte
	bad bool
}

// varint reads a number in the zigzag encoding of the record format.
func (s *scanner) varint() int64 {
	n, size := binary.Varint(s.in)
	if size <= 0 {
		s.bad, s.in = true, nil
		return 0
	}
	s.in = s.in[size:]
	return n
}

// bytes reads a length and as many bytes; nil where the length is -1.
func (s *scanner) bytes() []byte {
	n := s.varint()
	switch {
	case n == -1 || s.bad:
		return nil
	case n < 0 || n > int64(len(s.in)):
		s.bad, s.in = true, nil
		return nil
	}
	b := s.in[:n:n]
	s.in = s.in[n:]
	return b
}

// next reads the first record of in, one of the batch b, into c.record and returns what is behind it.
func (c *cursor) next(in []byte, b *kmsg.RecordBatch) (rest []byte, err error) {
	s := scanner{in: in}
	body := scanner{in: s.bytes()}
	if len(body.in) == 0 {
		return nil, errDamaged
	}
	body.in = body.in[1:] // attributes, of which there are none
	since, delta := body.varint(), body.varint()
	c.record = kgo.Record{Topic: c.src.topic, Partition: c.partition, Offset: b.FirstOffset + delta, LeaderEpoch: b.PartitionLeaderEpoch}
	c.record.Timestamp = time.UnixMilli(b.FirstTimestamp + since)
	if b.Attributes&attrAppendTime != 0 {
		c.record.Timestamp = time.UnixMilli(b.MaxTimestamp)
	}
	c.record.Key, c.record.Value = body.bytes(), body.bytes()
	c.headers = c.headers[:0]
	for range body.varint() {
		if body.bad {
			break
		}
		name := body.bytes()
		c.headers = append(c.headers, kgo.RecordHeader{Key: c.name(name), Value: body.bytes()})
	}
	if s.bad || body.bad {
		return nil, errDamaged
	}
	c.record.Headers = c.headers
	return s.in, nil
}

// name is b as a string, one for all headers of that name.
func (c *cursor) name(b []byte) string {
	if s, known := c.names[string(b)]; known {
		return s
	}
	s := string(b)
	if len(c.names) < maxHeaderNames {
		c.names[s] = s
	}
	return s
}
