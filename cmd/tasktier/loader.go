package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A loader publishes the lines of a file as they are. Package producer encodes tasks; here the sender has done it, and
// what travels is what stands in the file.
type loader struct {
	client *kgo.Client
	kafka  config.Kafka
	queue  string
	topic  string
	room   *room

	mu    sync.Mutex
	count loaded
	fatal error // why nothing more can be sent
}

// A loaded counts what became of a file's lines. Blank lines are not counted. A line that failed for want of an
// acknowledgement may have been written all the same.
type loaded struct {
	Lines  int `json:"lines"`
	Sent   int `json:"sent"`   // acknowledged
	Bad    int `json:"bad"`    // no task
	Failed int `json:"failed"` // refused by the broker, or not acknowledged

	last int // number of the last line
}

// A watcher is told about the lines of a file as they are sent. Its functions may be nil.
type watcher struct {
	// read is told how many bytes were read.
	read func(bytes int)
	// sending is told of a line that is about to be sent; what it returns is told, from another goroutine, whether it
	// was.
	sending func(l taskLine) (sent func(err error))
	// bad is told of a line that is at fault itself, and why.
	bad func(line int, reason string)
}

func (w watcher) withDefaults() watcher {
	if w.read == nil {
		w.read = func(int) {}
	}
	if w.sending == nil {
		w.sending = func(taskLine) func(error) { return func(error) {} }
	}
	if w.bad == nil {
		w.bad = func(int, string) {}
	}
	return w
}

// flushPatience bounds waiting for acknowledgements after an interruption.
const flushPatience = 10 * time.Second

const (
	// underWay bounds the memory of lines that are not acknowledged yet.
	underWay = 32 << 20
	// recordOverhead is what such a line costs beside its bytes.
	recordOverhead = 512
)

// newLoader connects. An error for a broker that does not answer is an [*tasktier.UnreachableError].
func newLoader(ctx context.Context, kafka config.Kafka, queue string, maxBytes int) (*loader, error) {
	client, err := connect(ctx, kafka,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(int32(maxBytes)),
		kgo.ProducerLinger(2*time.Millisecond),
		kgo.RecordDeliveryTimeout(30*time.Second),
		kgo.MaxBufferedRecords(1<<20), // room bounds it
	)
	if err != nil {
		return nil, err
	}
	return &loader{client: client, kafka: kafka, queue: queue, topic: names.Pending(queue), room: newRoom(underWay)}, nil
}

// load sends every line of file and waits until all are acknowledged. When ctx ends it stops reading, waits a little for
// what is under way and returns what was done by then with ctx's error. Lines that are wrong, or that the broker
// refuses, are told to w and counted; they stop nothing.
func (l *loader) load(ctx context.Context, file *taskFile, w watcher) (loaded, error) {
	// Records don't hang on ctx: what is under way when it ends is still waited for.
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	err := l.read(ctx, sending, file, w.withDefaults())

	flushing, stop := context.WithCancel(sending)
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(flushPatience, stop) })()
	if l.stopped() != nil || l.client.Flush(flushing) != nil {
		// What is left fails now, and is counted.
		l.client.AbortBufferedRecords(context.WithoutCancel(ctx)) //nolint:errcheck // its context does not end
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal != nil {
		err = l.fatal
	}
	if err == nil && ctx.Err() != nil && l.count.Failed > 0 {
		err = ctx.Err()
	}
	return l.count, err
}

// read hands lines to the client until there are none, nothing more can be sent, or ctx ends.
func (l *loader) read(ctx, sending context.Context, file *taskFile, w watcher) error {
	lines, stop := file.lines()
	defer stop()
	for {
		var line taskLine
		select {
		case line = <-lines:
		case <-ctx.Done():
			return ctx.Err()
		}
		w.read(line.bytes)
		switch err := l.stopped(); {
		case errors.Is(line.end, io.EOF):
			return nil
		case line.end != nil:
			return line.end
		case err != nil:
			return err
		}
		if line.bad != nil {
			l.add(func(n *loaded) { n.Lines++; n.Bad++; n.last = line.number })
			w.bad(line.number, line.bad.Error())
			continue
		}
		sent := w.sending(line)
		size := record.Size(line.record) + recordOverhead
		if err := l.room.take(ctx, size); err != nil { // as if the line had not been read
			sent(err)
			return err
		}
		l.add(func(n *loaded) { n.Lines++; n.last = line.number })
		line.record.Topic = l.topic
		l.client.Produce(sending, line.record, func(_ *kgo.Record, err error) {
			l.room.give(size)
			sent(err)
			if refused := l.settle(err); refused != nil {
				w.bad(line.number, refused.Error())
			}
		})
	}
}

func (l *loader) add(f func(*loaded)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.count)
}

// stopped says why nothing more can be sent, or nil.
func (l *loader) stopped() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

// settle counts an outcome. It returns what is wrong with the line, nil if it is not the line's fault: those are counted,
// as there may be thousands of them.
func (l *loader) settle(err error) (refused error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.count.Sent++
		return nil
	}
	l.count.Failed++
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return fmt.Errorf("is too large for topic %s; its max.message.bytes is in the way", l.topic)
	case errors.Is(err, kerr.InvalidRecord):
		return fmt.Errorf("was refused by the broker: %w", err)
	case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrAborting): // at the end; it may or may not have been written
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		l.stop(fmt.Errorf("topic %s does not exist; create it with: tasktier topic apply --queue %s", l.topic, l.queue))
	case errors.Is(err, kgo.ErrRecordTimeout):
		l.stop(&tasktier.UnreachableError{Server: "kafka", Addresses: l.kafka.Brokers, Err: errors.New("no acknowledgement within 30s")})
	default:
		l.stop(fmt.Errorf("write to topic %s: %w", l.topic, err))
	}
	return nil
}

// stop keeps the first reason for which nothing more can be sent; l.mu is held.
func (l *loader) stop(err error) {
	if l.fatal == nil {
		l.fatal = err
	}
}

func (l *loader) close() { l.client.Close() }
