package deadletter

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A cursor reads one partition, a batch at a time, and keeps what a fetch brought beyond that. It is for one goroutine.
//
// It decodes batches itself where it can: a topic of a million letters has some twenty million headers, and a name in
// memory of its own for each of them would cost more than all else. Batches with aborted transactions among them, and those
// of old formats, are left to kgo.
type cursor struct {
	src       *source
	partition int32

	at  int64  // raw begins with the first batch that has records from here on
	raw []byte // batches, the last one perhaps cut off

	record  kgo.Record // lent out, and its headers
	headers []kgo.RecordHeader
	names   map[string]string // of headers that were seen
}

func newCursor(src *source, partition int32) *cursor {
	return &cursor{src: src, partition: partition, names: make(map[string]string)}
}

// maxHeaderNames bounds the header names that are kept.
const maxHeaderNames = 1000

// read calls each for the records from an offset on that lie in one batch, and below end, and returns the offset to go on
// at, which is end where nothing is below it. The record and its memory are only lent. What is fetched, if the batch is
// not there already, is about maxBytes.
func (c *cursor) read(ctx context.Context, from, end int64, maxBytes int, each func(*kgo.Record)) (next int64, err error) {
	if from >= c.at {
		if next, ok, err := c.batch(from, end, each); ok || err != nil {
			return next, err
		}
	}
	c.at, c.raw = from, nil
	got, err := c.src.fetch(ctx, c.partition, from, end, maxBytes)
	switch {
	case err != nil:
		return 0, err
	case got == nil:
		return end, nil
	case len(got.RecordBatches) == 0:
		return min(got.LogStartOffset, end), nil
	}
	c.raw = got.RecordBatches
	if len(got.AbortedTransactions) == 0 {
		if next, ok, err := c.batch(from, end, each); ok || err != nil {
			return next, err
		}
	}
	c.raw = nil
	opts := kgo.ProcessFetchPartitionOpts{Offset: from, IsolationLevel: kgo.ReadCommitted(), Topic: c.src.topic, Partition: c.partition}
	all, next := kgo.ProcessFetchPartition(opts, got, kgo.DefaultDecompressor(), nil)
	if all.Err != nil || next <= from {
		return 0, c.broken(from, all.Err)
	}
	for _, r := range all.Records {
		if r.Offset < end {
			each(r)
		}
	}
	return min(next, end), nil
}

func (c *cursor) broken(at int64, err error) error {
	return fmt.Errorf("read topic %s, partition %d, offset %d: %w", c.src.topic, c.partition, at, err)
}

// The fields of a record batch of magic 2 that are needed before the rest, and how many bytes it has at least.
const (
	batchLength     = 8 // of what follows it
	batchPrefix     = 12
	batchMagic      = 16
	batchCRC        = 17
	batchCovered    = 21 // by the CRC, from here on
	batchLastDelta  = 23
	batchHeader     = 61
	attrCompression = 0x07
	attrAppendTime  = 0x08
	attrControl     = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is read for what is in memory; ok says whether the batch was.
func (c *cursor) batch(from, end int64, each func(*kgo.Record)) (next int64, ok bool, err error) {
	for len(c.raw) >= batchHeader && c.raw[batchMagic] == 2 {
		size := int64(batchPrefix) + int64(int32(binary.BigEndian.Uint32(c.raw[batchLength:])))
		last := int64(binary.BigEndian.Uint64(c.raw)) + int64(int32(binary.BigEndian.Uint32(c.raw[batchLastDelta:])))
		if size < batchHeader || int64(len(c.raw)) < size {
			break
		}
		if last >= from {
			// It stays in raw: the next call may want more of it.
			return min(last+1, end), true, c.decode(c.raw[:size], from, end, each)
		}
		c.raw, c.at = c.raw[size:], last+1
	}
	return 0, false, nil
}

// decode calls each for the records of a batch.
func (c *cursor) decode(raw []byte, from, end int64, each func(*kgo.Record)) error {
	var b kmsg.RecordBatch
	if err := b.ReadFrom(raw); err != nil {
		return c.broken(from, err)
	}
	if crc32.Checksum(raw[batchCovered:], castagnoli) != binary.BigEndian.Uint32(raw[batchCRC:]) {
		return c.broken(b.FirstOffset, errDamaged)
	}
	if b.Attributes&attrControl != 0 {
		return nil
	}
	in := b.Records
	if codec := b.Attributes & attrCompression; codec != 0 {
		var err error
		if in, err = kgo.DefaultDecompressor().Decompress(in, kgo.CompressionCodecType(codec)); err != nil {
			return c.broken(b.FirstOffset, err)
		}
	}
	for range b.NumRecords {
		rest, err := c.next(in, &b)
		if err != nil {
			return c.broken(b.FirstOffset, err)
		}
		in = rest
		if c.record.Offset >= from && c.record.Offset < end {
			each(&c.record)
		}
	}
	return nil
}
