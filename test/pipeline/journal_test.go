package pipeline

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What a line of the journal tells of a handler.
const (
	started = "start"
	ended   = "end"
	gaveUp  = "gave-up" // it returned its context's error
)

// note appends a line to the journal:
//
//	<what> <Unix µs> <pid> <fence> <id> <why the context has ended, if it has>
//
// One write makes a line, so that those of several processes don't mix.
func note(journal *os.File, what, id string, fence int64, cause error) error {
	saw := ""
	if cause != nil {
		saw = cause.Error()
	}
	_, err := fmt.Fprintf(journal, "%s %d %d %d %s %s\n", what, time.Now().UnixMicro(), os.Getpid(), fence, id, saw)
	return err
}

// A run is a handler that was started.
type run struct {
	pid   int
	fence int64
	at    time.Time
	how   string // ended or gaveUp; "" while it runs, and for one that died with its process
	until time.Time
	saw   string // why its context had ended when it returned; "" if it had not
}

// A journal is what the handlers of a fleet have written. It is outside of all that is tested.
type journal struct {
	path  string
	read  int64 // bytes of it
	runs  map[string][]*run
	ended int // tasks of which a handler has ended, but for those that joining takes
}

// update reads on.
func (j *journal) update(t *testing.T) {
	t.Helper()
	if j.runs == nil {
		j.runs = make(map[string][]*run)
	}
	file, err := os.Open(j.path)
	if os.IsNotExist(err) {
		return
	}
	must(t, err)
	defer file.Close()
	data, err := io.ReadAll(io.NewSectionReader(file, j.read, 1<<62))
	must(t, err)
	data = data[:bytes.LastIndexByte(data, '\n')+1] // whole lines
	j.read += int64(len(data))
	for line := range strings.Lines(string(data)) {
		j.add(t, strings.TrimSuffix(line, "\n"))
	}
}

func (j *journal) add(t *testing.T, line string) {
	t.Helper()
	word := strings.SplitN(line, " ", 6)
	if len(word) != 6 {
		t.Fatalf("the journal has %q", line)
	}
	micros, err1 := strconv.ParseInt(word[1], 10, 64)
	pid, err2 := strconv.Atoi(word[2])
	fence, err3 := strconv.ParseInt(word[3], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatalf("the journal has %q", line)
	}
	what, at, id, saw := word[0], time.UnixMicro(micros), word[4], word[5]
	if what == started {
		j.runs[id] = append(j.runs[id], &run{pid: pid, fence: fence, at: at})
		return
	}
	first := true
	for _, r := range j.runs[id] {
		first = first && r.how != ended
		if r.pid == pid && r.fence == fence && r.how == "" {
			r.how, r.until, r.saw = what, at, saw
		}
	}
	if first && what == ended && !strings.HasPrefix(id, joining) {
		j.ended++
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
