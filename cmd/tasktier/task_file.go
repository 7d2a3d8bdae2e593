package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// open opens a file of tasks, or stdin for "-", and says how many bytes it has, -1 if that can't be known.
func (c *cli) open(path string) (io.ReadCloser, int64, error) {
	if path == "-" {
		return io.NopCloser(c.stdin), -1, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, wrong("open the tasks: %w", err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		f.Close()
		return nil, 0, fmt.Errorf("open the tasks: %w", err)
	case info.IsDir():
		f.Close()
		return nil, 0, wrong("open the tasks: %s is a directory", path)
	case info.Mode().IsRegular():
		return f, info.Size(), nil
	}
	return f, -1, nil
}

// openCounted is open, and counts the lines of a regular file; -1 is a file whose lines can't be counted.
func (c *cli) openCounted(path string) (io.ReadCloser, int64, error) {
	in, size, err := c.open(path)
	if err != nil || size < 0 {
		return in, -1, err
	}
	lines, err := countLines(in)
	if f, ok := in.(io.Seeker); ok && err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		in.Close()
		return nil, 0, fmt.Errorf("read the tasks: %w", err)
	}
	return in, lines, nil
}

// fileSummary is what is printed at the end of a file.
type fileSummary struct {
	loaded
	Seconds float64 `json:"seconds"`
}

func (c *cli) sendFile(ctx context.Context, path string) error {
	cfg, err := c.loadForQueue()
	if err != nil {
		return err
	}
	in, size, err := c.open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	settings := c.queueSettings(cfg)
	l, err := newLoader(ctx, cfg.Kafka, c.queue, int(settings.MaxBytes))
	if err != nil {
		return err
	}
	defer l.close()

	began := time.Now()
	bar := c.newBar("sending", size, true)
	file := newTaskFile(in, int(settings.MaxBytes))
	count, err := l.load(ctx, file, watcher{
		read: func(n int) { bar.add(n) },
		bad:  func(line int, reason string) { bar.around(func() { c.complain("line %d: %s", line, reason) }) },
	})
	bar.finish()
	summary := fileSummary{count, time.Since(began).Seconds()}
	if c.json() {
		if err := c.object(summary); err != nil {
			return err
		}
	} else {
		c.prose("%s", summary)
	}
	return fileVerdict(count, err)
}

func (s fileSummary) String() string {
	text := fmt.Sprintf("%d lines: %d sent, %d bad", s.Lines, s.Sent, s.Bad)
	if s.Failed > 0 {
		text += fmt.Sprintf(", %d not sent", s.Failed)
	}
	return text + fmt.Sprintf(", in %.2fs (%.0f tasks/s)", s.Seconds, float64(s.Sent)/max(s.Seconds, 1e-9))
}

// fileVerdict turns what became of a file into the command's error.
func fileVerdict(n loaded, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%w at line %d, when %d had been sent", errInterrupted, n.last, n.Sent)
	case err != nil:
		return fmt.Errorf("stopped at line %d, when %d had been sent: %w", n.last, n.Sent, err)
	case n.Bad > 0 || n.Failed > 0:
		return partly("done in part: not sent were %d of %d lines", n.Bad+n.Failed, n.Lines)
	}
	return nil
}
