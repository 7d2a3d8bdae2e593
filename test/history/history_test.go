package history

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/task"
	"pgregory.net/rapid"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read is all that is in dir.
func read(t testing.TB, dir string) (events []Event) {
	t.Helper()
	for e, err := range Read(dir) {
		must(t, err)
		events = append(events, e)
	}
	return events
}

// TestEveryFieldTravels writes events with any values in any fields and reads the same back.
func TestEveryFieldTravels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want, got Event
		fill(t, reflect.ValueOf(&want).Elem())
		want.Process = "" // that is in the file's name
		line, err := appendLine(nil, &want)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(line), "\n") != 1 {
			t.Fatalf("%q is not a line", line)
		}
		p := parser{seen: make(map[string]string)}
		if err := p.parse(strings.TrimSuffix(string(line), "\n"), &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q\nis  %+v\nwas %+v", line, got, want)
		}
	})
}

// fill draws a value for every field.
func fill(t *rapid.T, v reflect.Value) {
	switch v.Interface().(type) {
	case Kind:
		v.SetUint(uint64(rapid.IntRange(int(Sent), int(Collected)).Draw(t, "kind")))
		return
	case Outcome:
		v.SetUint(uint64(rapid.IntRange(0, int(GaveUp)).Draw(t, "outcome")))
		return
	case Forgets:
		v.SetUint(uint64(rapid.IntRange(0, int(RolledBack)).Draw(t, "forgets")))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		}
	case reflect.String:
		v.SetString(rapid.OneOf(rapid.SampledFrom([]string{"", "tasks", "a b", `"`, "=", "x\ny"}), rapid.StringN(0, 20, -1)).Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	case reflect.Int32:
		v.SetInt(int64(rapid.Int32().Draw(t, "number")))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "number"))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, "number"))
	default:
		panic("no value for " + v.Type().String())
	}
}

// TestFilesAreMergedByTime: several processes, each with concurrent handlers.
func TestFilesAreMergedByTime(t *testing.T) {
	const processes, handlers, each = 3, 8, 200
	dir := t.TempDir()
	var writing sync.WaitGroup
	for i := range processes {
		w, err := Create(dir, "node-"+string(rune('1'+i)))
		must(t, err)
		defer func() { must(t, w.Close()) }()
		for range handlers {
			writing.Go(func() {
				for n := range each {
					if err := w.Write(Event{Kind: Started, Task: Task{"q", "/s", "x"}, Turn: n}); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	writing.Wait()
	events := read(t, dir)
	if want := processes * (handlers*each + 1); len(events) != want {
		t.Fatalf("%d events, want %d", len(events), want)
	}
	of := make(map[string]int)
	for i, e := range events {
		of[e.Process]++
		if i > 0 && e.At < events[i-1].At {
			t.Fatalf("event %d is before the one before it", i)
		}
	}
	if of["node-2"] != handlers*each+1 || len(of) != processes {
		t.Errorf("of each process: %v", of)
	}
}

func TestTornLines(t *testing.T) {
	const whole = "1000 up pid=7\n2000 fault name=x\n"
	for name, c := range map[string]struct {
		text string
		want int
		err  string
	}{
		"whole":                   {whole, 2, ""},
		"torn at the end":         {whole + "3000 mended na", 2, ""},
		"torn number":             {whole + "30", 2, ""},
		"nothing but torn":        {"10", 0, ""},
		"empty":                   {"", 0, ""},
		"torn in the middle":      {"1000 up pi\n2000 fault name=x\n", 0, ":1: not an event"},
		"a kind that is not":      {"1000 sat task=x\n", 0, "no kind"},
		"a field that is not":     {"1000 up colour=x\n", 0, "no such field"},
		"a number that is not":    {"1000 up pid=x\n", 0, "pid"},
		"an outcome that is not":  {"1000 ended outcome=x\n", 0, "outcome"},
		"a quote without its end": {"1000 ended cause=\"x\n", 0, "cause"},
		"time goes back":          {whole + "1999 mended name=x\n", 2, ":3: its time goes back"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.WriteFile(filepath.Join(dir, "nemesis.events"), []byte(c.text), 0o600))
			n, message := 0, ""
			for _, err := range Read(dir) {
				if err != nil {
					message = err.Error()
					continue
				}
				n++
			}
			if n != c.want || (c.err == "") != (message == "") || !strings.Contains(message, c.err) {
				t.Errorf("%d events and %q, want %d and %q", n, message, c.want, c.err)
			}
		})
	}
}

func TestNoHistory(t *testing.T) {
	for _, err := range Read(t.TempDir()) {
		if err == nil || !strings.Contains(err.Error(), "no *.events") {
			t.Error(err)
		}
		return
	}
	t.Error("nothing was said")
}

func TestLongLines(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, "node-1")
	must(t, err)
	cause := strings.Repeat("no ", 100_000)
	must(t, w.Write(Event{Kind: Ended, Cause: cause}))
	must(t, w.Write(Event{Kind: Stopped}))
	must(t, w.Close())
	if events := read(t, dir); len(events) != 3 || events[1].Cause != cause || events[2].Kind != Stopped {
		t.Errorf("%d events", len(events))
	}
}

func TestAProcessHasOneFile(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, "node-1")
	must(t, err)
	must(t, w.Close())
	for _, name := range []string{"node-1", "", "a/b", "a b"} {
		if _, err := Create(dir, name); err == nil {
			t.Errorf("%q can be created", name)
		}
	}
	if err := w.Write(Event{Kind: Stopped}); err == nil {
		t.Error("a closed history can be written")
	}
}

// aRun is what a node lends a handler.
type aRun struct {
	fence, slot int64
	result      string
}

func (r *aRun) Fence() int64             { return r.fence }
func (r *aRun) Slot() int64              { return r.slot }
func (r *aRun) Progress(float64, string) {}
func (r *aRun) Result(data []byte)       { r.result = string(data) }

func TestHandle(t *testing.T) {
	broken := errors.New("broken")
	over := errors.New("the session is over")
	for name, c := range map[string]struct {
		err   error
		ended bool // the context, before the handler returns
		want  Outcome
	}{
		"nil":                            {nil, false, Succeeded},
		"error":                          {broken, false, Failed},
		"retry after":                    {task.RetryAfter(time.Second, broken), false, Failed},
		"permanent":                      {task.Permanent(broken), false, Permanent},
		"snooze":                         {task.Snooze(time.Second), false, Snoozed},
		"error of an ended context":      {context.Canceled, true, GaveUp},
		"success under one":              {nil, true, Succeeded},
		"permanent failure under one":    {task.Permanent(broken), true, Permanent},
		"an error that has two meanings": {errors.Join(broken, task.Permanent(broken)), false, Permanent},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w, err := Create(dir, "node-1")
			must(t, err)
			run := &aRun{fence: 17, slot: 3}
			of := task.New("work", nil, task.ID("7"), task.Source("/s"), task.Queue("q"))
			of.Generation, of.Turn, of.Attempt = 1, 2, 3
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			got := w.Handle(task.NewRunContext(ctx, of, run), func(context.Context) error {
				if c.ended {
					cancel(over)
				}
				return c.err
			})
			if !errors.Is(got, c.err) {
				t.Errorf("Handle returns %v", got)
			}
			must(t, w.Close())
			events := read(t, dir)
			if len(events) != 3 {
				t.Fatalf("%d events", len(events))
			}
			started, ended := events[1], events[2]
			want := Event{
				At: started.At, Kind: Started, Process: "node-1", Task: Task{"q", "/s", "7"}, Generation: 1, Turn: 2, Attempt: 3,
				Fence: 17, Slot: 3,
			}
			if started != want {
				t.Errorf("started %+v, want %+v", started, want)
			}
			want.At, want.Kind, want.Outcome = ended.At, Ended, c.want
			if c.ended {
				want.Cause = over.Error()
			}
			if ended != want {
				t.Errorf("ended %+v, want %+v", ended, want)
			}
			if run.result != "node-1 17" {
				t.Errorf("the result is %q", run.result)
			}
		})
	}
}
