package deadletter

import (
	"time"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Letter is a dead letter as it lies in its topic. It is its reader's: it shares no memory with other letters.
type Letter struct {
	// Queue whose dead letter it is.
	Queue string
	// Key is the record's key, see [Key] and [OriginKey], and Partition and Offset are its place.
	Key       []byte
	Partition int32
	Offset    int64
	// Record as it lies in the dead-letter topic: the value and the headers of the original, and those that say how it
	// died.
	Record *kgo.Record
	// Task is what the original says. Its Key is the one that the original had, or its partitionkey.
	Task task.Task
	// Bad says why the record is no task that can be obeyed; Task then has what could be read of it. Nil: it is one.
	Bad error

	// Reason is why it died.
	Reason task.Reason
	// Err is the error of the last attempt, or what is wrong with the record; FirstErr is that of the first attempt.
	Err, FirstErr string
	// Attempts is how often it was tried, 0 if it was no task, and Crashes how many processes died while they ran it.
	Attempts, Crashes int
	// Origin is where it was read, as topic/partition/offset, and Node who gave it up.
	Origin, Node string
	// Died is when, to the millisecond. Of a letter that does not say, the time of its record.
	Died time.Time
	// Generation is that of the task: how often it had been replayed.
	Generation int

	originalKey []byte // nil: none
}

// ID names the letter to people: the id of its task, or its key where no task can be read, which is the topic, partition
// and offset that the record was read from.
func (l *Letter) ID() string {
	if l.hasIdentity() {
		return l.Task.ID
	}
	return string(l.Key)
}

// OriginalKey is the record key that the task had in its queue: nil if it had none.
func (l *Letter) OriginalKey() []byte { return l.originalKey }

// Bytes is the size of key, value and headers.
func (l *Letter) Bytes() int {
	n := len(l.Record.Key) + len(l.Record.Value)
	for i := range l.Record.Headers {
		n += len(l.Record.Headers[i].Key) + len(l.Record.Headers[i].Value)
	}
	return n
}

func (l *Letter) hasIdentity() bool { return l.Task.ID != "" && l.Task.Source != "" }

// read makes l the letter that r is. What was in l before is overwritten; its task's headers lend their memory.
func (l *Letter) read(queue string, r *kgo.Record) {
	stamp, _ := record.ReadStamp(r) // what can't be read of it, anybody may have written: it is left out
	headers := l.Task.Headers[:0]
	*l = Letter{
		Queue: queue, Key: r.Key, Partition: r.Partition, Offset: r.Offset, Record: r,
		Reason: stamp.Reason, Err: stamp.Err, FirstErr: stamp.FirstErr, Attempts: stamp.Attempt, Crashes: stamp.Crashes,
		Origin: stamp.Origin, Node: stamp.Node, Died: stamp.Died, originalKey: stamp.Key,
	}
	if l.Died.IsZero() {
		l.Died = r.Timestamp.UTC().Truncate(time.Millisecond)
	}
	original := *r
	original.Key = stamp.Key // the letter's own would be taken for the ordering key
	l.Task.Headers = headers
	if err := record.Decode(&original, &l.Task); err != nil {
		l.Bad = err
	}
	l.Task.Queue = queue
	l.Generation = l.Task.Generation
}

// own copies r out of the batch that it was read in: one letter that is kept must not keep a megabyte of others.
func own(r *kgo.Record) *kgo.Record {
	size := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		size += len(r.Headers[i].Value)
	}
	buf := make([]byte, 0, size)
	keep := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		start := len(buf)
		buf = append(buf, b...)
		return buf[start:len(buf):len(buf)]
	}
	c := *r
	c.Key, c.Value = keep(r.Key), keep(r.Value)
	c.Headers = make([]kgo.RecordHeader, len(r.Headers))
	for i, h := range r.Headers {
		c.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: keep(h.Value)}
	}
	return &c
}

// tombstone says whether r takes away the letter with its key.
func tombstone(r *kgo.Record) bool { return r.Value == nil }
