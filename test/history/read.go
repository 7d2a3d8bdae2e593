package history

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Events are a history, in the order of time. After an error there are no more.
type Events = iter.Seq2[Event, error]

// All is a history of these events, which it puts in order.
func All(events ...Event) Events {
	events = slices.Clone(events)
	sortEvents(events)
	return func(yield func(Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func sortEvents(events []Event) {
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
}

// Read reads the history in dir. It may be read while it is still written, and again. The last line of a file may be torn;
// any other one that can't be read is an error. It holds one event of each file in memory.
func Read(dir string) Events {
	return func(yield func(Event, error) bool) {
		if err := merge(dir, yield); err != nil {
			yield(Event{}, fmt.Errorf("read history: %w", err))
		}
	}
}

func merge(dir string, yield func(Event, error) bool) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return fmt.Errorf("no *%s in %s", suffix, dir)
	}
	var merged logs
	defer func() {
		for _, l := range merged {
			_ = l.file.Close() // it was only read
		}
	}()
	for _, path := range paths {
		l, err := open(path)
		if err != nil {
			return err
		}
		merged = append(merged, l)
		if more, err := l.next(); err != nil {
			return err
		} else if !more {
			merged = merged[:len(merged)-1]
		}
	}
	heap.Init(&merged)
	for len(merged) > 0 {
		first := merged[0]
		if !yield(first.event, nil) {
			return nil
		}
		more, err := first.next()
		switch {
		case err != nil:
			return err
		case more:
			heap.Fix(&merged, 0)
		default:
			heap.Pop(&merged)
		}
	}
	return nil
}

// A log is the file of a process.
type log struct {
	path   string
	file   *os.File
	lines  *bufio.Reader
	line   int
	long   []byte
	parser parser
	event  Event
}

func open(path string) (*log, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &log{path: path, file: file, lines: bufio.NewReaderSize(file, 64<<10), parser: parser{seen: make(map[string]string)}}, nil
}

// next reads an event. At the end it closes the file.
func (l *log) next() (more bool, err error) {
	line, err := l.read()
	if errors.Is(err, io.EOF) {
		return false, l.file.Close() // what has no end of line is torn
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", l.path, err)
	}
	l.line++
	last := l.event.At
	if err := l.parser.parse(string(bytes.TrimSuffix(line, []byte("\n"))), &l.event); err != nil {
		return false, fmt.Errorf("%s:%d: %w", l.path, l.line, err)
	}
	if l.event.At < last {
		return false, fmt.Errorf("%s:%d: its time goes back", l.path, l.line)
	}
	l.event.Process = strings.TrimSuffix(filepath.Base(l.path), suffix)
	return true, nil
}

// read returns a line with its end.
func (l *log) read() ([]byte, error) {
	line, err := l.lines.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	l.long = append(l.long[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = l.lines.ReadSlice('\n')
		l.long = append(l.long, line...)
	}
	return l.long, err
}

// logs are a heap of those that have an event, the earliest first.
type logs []*log

func (l logs) Len() int           { return len(l) }
func (l logs) Less(i, j int) bool { return l[i].event.At < l[j].event.At }
func (l logs) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *logs) Push(v any)        { *l = append(*l, v.(*log)) }
func (l *logs) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}
