package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// plainSource is the source of every task in the plain form (WIRE: the plain form names none).
const plainSource = "/plain"

// A taskFile reads tasks from NDJSON, one a line, as structured CloudEvents or in the plain form. It holds one line in
// memory.
type taskFile struct {
	in     *bufio.Reader
	limit  int // of a record, in bytes
	number int // of the line read last, from 1
}

const (
	// lineRoom is what a line may have beside its payload, in bytes.
	lineRoom = 64 << 10
	// sizeSlack is how much [record.Size] may exceed what a record really takes: a task that was as large as its topic takes
	// still is when it has a generation. The broker has the last word.
	sizeSlack = 64
)

// A taskLine is a line that was read: a record to send, or what is wrong with the line.
type taskLine struct {
	number     int
	record     *kgo.Record // its value is the line, byte for byte; it has no topic yet
	id, source string
	bytes      int   // read, with the line's end
	bad        error // why it can't be sent
	end        error // there is no line: io.EOF, or why nothing more can be read
}

// newTaskFile reads tasks from in. Lines that make a record of more than limit bytes are bad.
//
// A record is smaller than its line where the payload stands there in base64, as 'dead export' writes what is not JSON.
func newTaskFile(in io.Reader, limit int) *taskFile {
	return &taskFile{in: bufio.NewReaderSize(in, 64<<10), limit: limit}
}

// lines reads in the background, until the end or until stop is called, and no more than a line ahead. A reader that
// hangs, as a terminal does, is not waited for: nothing can be done about it but to leave it behind.
func (f *taskFile) lines() (lines <-chan taskLine, stop func()) {
	out, stopped := make(chan taskLine), make(chan struct{})
	go func() {
		for {
			l := f.next()
			select {
			case out <- l:
			case <-stopped:
				return
			}
			if l.end != nil {
				return
			}
		}
	}()
	return out, func() { close(stopped) }
}

// next returns the next line that is not blank, or the end.
func (f *taskFile) next() taskLine {
	read := 0
	for {
		text, size, err := f.line()
		read += size
		if err != nil {
			return taskLine{bytes: read, end: err}
		}
		l := taskLine{number: f.number, bytes: read}
		switch {
		case size > f.limit && text == nil:
			l.bad = fmt.Errorf("is longer than any line that makes a record of %d bytes, which is all that one may have", f.limit)
			return l
		case len(bytes.TrimSpace(text)) == 0:
			continue
		}
		l.understand(text, f.limit)
		return l
	}
}

// line returns a line without its end, in memory of its own, and how many bytes were read. The text of a line beyond the
// limit is passed over, and nil. The end of the input is io.EOF, after the last line.
func (f *taskFile) line() (text []byte, size int, err error) {
	long := false
	for {
		part, err := f.in.ReadSlice('\n')
		size += len(part)
		if len(text)+len(part) > base64.StdEncoding.EncodedLen(f.limit)+lineRoom {
			long, text = true, nil
		}
		if !long {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && size == 0:
			return nil, 0, io.EOF
		case err != nil && !errors.Is(err, io.EOF):
			return nil, size, fmt.Errorf("read line %d: %w", f.number+1, err)
		}
		f.number++
		if long {
			return nil, size, nil
		}
		text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
		if f.number == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff")) // editors put it there; JSON has none
		}
		return text[:len(text):len(text)], size, nil
	}
}

// understand makes the line's record, or says why there is none.
func (l *taskLine) understand(text []byte, limit int) {
	r := &kgo.Record{Value: text}
	var t task.Task
	if err := record.Decode(r, &t); err != nil {
		l.bad = complaint(text, err)
		return
	}
	// The plain form is known by what it lacks: labelled, it would be read as a CloudEvent without a source.
	if t.Source != plainSource {
		r.Headers = []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}}
	}
	if t.Key != "" {
		r.Key = []byte(t.Key)
	}
	if size := record.Size(r); size > limit {
		// Headers and payload take less than a line that has to write them as JSON.
		r = record.Encode(&t, "")
		if least := record.Size(r); least > limit+sizeSlack {
			l.bad = fmt.Errorf("makes a record of %d bytes; at most %d", min(size, least), limit)
			return
		}
	}
	l.record, l.id, l.source = r, t.ID, t.Source
}

// complaint says what is wrong with a line, in the words of someone who looks at a file of JSON.
func complaint(text []byte, err error) error {
	if !json.Valid(text) {
		return fmt.Errorf("is not JSON: %w", jsonError(text))
	}
	bad := (*record.Error)(nil)
	switch {
	case !errors.As(err, &bad):
		return err
	case bad.Attribute == "":
		return errors.New("is no task: it has neither the attributes of a CloudEvent nor id and type")
	}
	return fmt.Errorf("%s %w", bad.Attribute, bad.Err)
}

// jsonError says where data stops being JSON.
func jsonError(data []byte) error {
	var v any
	err := json.Unmarshal(data, &v)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return fmt.Errorf("%w at byte %d", err, syntax.Offset)
	}
	return err
}

// countLines counts the lines of in that are not empty.
func countLines(in io.Reader) (n int64, err error) {
	chunk := make([]byte, 256<<10)
	last := byte('\n')
	for {
		read, err := in.Read(chunk)
		for _, b := range chunk[:read] {
			if b == '\n' && last != '\n' {
				n++
			}
			last = b
		}
		if errors.Is(err, io.EOF) {
			if last != '\n' {
				n++
			}
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
