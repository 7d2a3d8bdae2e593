package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

// A feed writes a line to stdout for every task whose end is recorded, in the order of the ends.
type feed struct {
	cli     *cli
	bar     *bar
	ends    chan end
	asked   chan chan struct{} // to be closed when everything so far is written
	closed  chan struct{}
	writing sync.WaitGroup
	started sync.Map // *task.Task → time.Duration of its last attempt
	failed  error    // why lines could not be written; read after close
}

// An end is how a task ended, as JSON shows it.
type end struct {
	Time     time.Time   `json:"time"`
	State    task.State  `json:"state"`
	Type     string      `json:"type"`
	ID       string      `json:"id"`
	Source   string      `json:"source"`
	Queue    string      `json:"queue"`
	Attempt  int         `json:"attempt"`
	Duration float64     `json:"duration_ms"` // of the last attempt; 0 if there was none
	Reason   task.Reason `json:"reason,omitempty"`
	Error    string      `json:"error,omitempty"`
}

// feedBuffer is how many ends may wait for a slow reader of stdout before it holds up the node.
const feedBuffer = 1 << 16

// newFeed makes a feed that writes while b is out of the way.
func (c *cli) newFeed(b *bar) *feed {
	return &feed{cli: c, bar: b, ends: make(chan end, feedBuffer), asked: make(chan chan struct{}), closed: make(chan struct{})}
}

// start begins to write; close ends it.
func (f *feed) start() { f.writing.Go(f.write) }

// clock measures attempts; it is a middleware.
func (f *feed) clock(next consumer.Handler) consumer.Handler {
	return func(ctx context.Context, t *task.Task) error {
		began := time.Now()
		defer func() { f.started.Store(t, time.Since(began)) }()
		return next(ctx, t)
	}
}

// settled takes an end to be written.
func (f *feed) settled(s consumer.Settled) {
	e := end{
		Time: time.Now(), State: s.State, Type: s.Task.Type, ID: s.Task.ID, Source: s.Task.Source, Queue: s.Task.Queue,
		Attempt: s.Task.Attempt, Reason: s.Reason,
	}
	if took, ok := f.started.LoadAndDelete(s.Task); ok {
		e.Duration = float64(took.(time.Duration).Microseconds()) / 1000
	}
	if s.Err != nil {
		e.Error = s.Err.Error()
	}
	select {
	case f.ends <- e:
	case <-f.closed: // a handler that was left behind when the node stopped
	}
}

// write writes what is there at a time in one go.
func (f *feed) write() {
	for {
		select {
		case e := <-f.ends:
			f.flush(e)
		case written := <-f.asked:
			f.flushAll()
			close(written)
			continue
		case <-f.closed:
			f.flushAll()
			return
		}
		if !f.bar.visible() {
			continue
		}
		// Lines gather while there is a bar: each writing takes it away for a moment, and it would be gone for good.
		select {
		case <-time.After(redraw):
		case written := <-f.asked:
			f.flushAll()
			close(written)
		case <-f.closed:
		}
	}
}

func (f *feed) flushAll() {
	for len(f.ends) > 0 {
		f.flush(<-f.ends)
	}
}

// catchUp returns when all ends so far are written.
func (f *feed) catchUp() {
	written := make(chan struct{})
	f.asked <- written
	<-written
}

func (f *feed) flush(first end) {
	var text bytes.Buffer
	f.render(&text, first)
	for n := len(f.ends); n > 0 && text.Len() < 64<<10; n-- {
		f.render(&text, <-f.ends)
	}
	f.bar.around(func() {
		if err := f.cli.data(text.Bytes()); err != nil && f.failed == nil {
			f.failed = err
		}
	})
}

func (f *feed) render(text *bytes.Buffer, e end) {
	if f.cli.json() {
		if line, err := marshal(e); err == nil {
			text.Write(line)
		}
		return
	}
	fmt.Fprintf(text, "%s  %-9s  %-12s  %-36s  %8.1fms", e.Time.Format("15:04:05.000"), e.State, printable(e.Type), printable(e.ID), e.Duration)
	if e.Reason != "" {
		fmt.Fprintf(text, "  %s: %s", e.Reason, printable(e.Error))
	}
	text.WriteByte('\n')
}

// printable keeps what others wrote from breaking lines or driving the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// close writes what is left. Ends that come later are not written.
func (f *feed) close() error {
	close(f.closed)
	f.writing.Wait()
	return f.failed
}
