package history

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/tasktier/tasktier/test/internal/realtime"
)

// suffix is how the files of a history end.
const suffix = ".events"

// A Writer writes the events of one process. It is safe for concurrent use.
type Writer struct {
	process string

	mu   sync.Mutex
	file *os.File
	last Moment
	line []byte
}

// Create makes the file of a process in dir, and writes that it is up. A process that is started again has another name.
func Create(dir, process string) (*Writer, error) {
	if process == "" || strings.ContainsAny(process, "/ ") {
		return nil, fmt.Errorf("create history: %q names no process", process)
	}
	file, err := os.OpenFile(filepath.Join(dir, process+suffix), os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create history: %w", err)
	}
	w := &Writer{process: process, file: file}
	if err := w.Write(Event{Kind: Up, PID: os.Getpid()}); err != nil {
		_ = file.Close() // what is wrong is said already
		return nil, err
	}
	return w, nil
}

// Process is the name of the process whose events these are.
func (w *Writer) Process() string { return w.process }

// Write adds an event, with the present time for its At: that of the machine, also in a process whose clock is wrong. When it returns the event outlives the process: one call hands
// the whole line to the operating system.
func (w *Writer) Write(e Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.At = max(At(realtime.Now()), w.last) // the order in the file is that of what happened, whatever the clock does
	line, err := appendLine(w.line[:0], &e)
	if err != nil {
		return err
	}
	w.line, w.last = line, e.At
	if _, err := w.file.Write(line); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// Close closes the file.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("close history: %w", err)
	}
	return nil
}
