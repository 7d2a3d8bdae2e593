package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
)

func TestLinesOfATaskFile(t *testing.T) {
	const limit = 400
	const event = `{"specversion":"1.0","id":"1","source":"/a","type":"x","data":{"n":12345678901234567890.10}}`
	const plain = `{"id":"1","type":"x","payload":{"n":1}}`
	for _, c := range []struct {
		name, input string
		number      int
		value       string // of the record; empty: the line is bad
		structured  bool
		bad         string
	}{
		{"a CloudEvent", event + "\n", 1, event, true, ""},
		{"the plain form", plain + "\n", 1, plain, false, ""},
		{"no newline at the end", plain, 1, plain, false, ""},
		{"blank lines count but are passed over", "\n \t\r\n" + plain, 3, plain, false, ""},
		{"lines may end as on Windows", plain + "\r\n", 1, plain, false, ""},
		{"a byte order mark", "\ufeff" + plain, 1, plain, false, ""},
		{"spaces stay", "  " + plain + "  \n", 1, "  " + plain + "  ", false, ""},
		{"an event from /plain", strings.Replace(event, "/a", "/plain", 1), 1, strings.Replace(event, "/a", "/plain", 1), false, ""},
		{"truncated", event[:40] + "\n", 1, "", false, "is not JSON: unexpected end of JSON input at byte 40"},
		{"no JSON", "hello\n", 1, "", false, "is not JSON: invalid character 'h' looking for beginning of value at byte 1"},
		{"an array", "[1]\n", 1, "", false, "is no task: it has neither the attributes of a CloudEvent nor id and type"},
		{"no type", `{"specversion":"1.0","id":"1","source":"/a"}`, 1, "", false, "type is missing"},
		{"no id in the plain form", `{"type":"x"}`, 1, "", false, "is no task: it has neither the attributes of a CloudEvent nor id and type"},
		{"a due that is none", strings.Replace(event, `"data"`, `"notbefore":"soon","data"`, 1), 1, "", false, `notbefore is "soon", not an RFC 3339 time`},
		{"too long", `{"id":"1","type":"x","payload":"` + strings.Repeat("a", 70_000) + `"}`, 1, "", false, "is longer than any line that makes a record of 400 bytes, which is all that one may have"},
		{"too long as a record", `{"id":"1","type":"x","payload":"` + strings.Repeat("a", limit-40) + `"}`, 1, "", false, "makes a record of 491 bytes; at most 400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newTaskFile(strings.NewReader(c.input), limit)
			l := f.next()
			if l.end != nil || l.number != c.number {
				t.Fatalf("line %d, end %v; want line %d", l.number, l.end, c.number)
			}
			if got := errorText(l.bad); got != c.bad {
				t.Errorf("bad: %q, want %q", got, c.bad)
			}
			if c.value != "" {
				if string(l.record.Value) != c.value {
					t.Errorf("value %q, want %q", l.record.Value, c.value)
				}
				if labelled := len(l.record.Headers) > 0; labelled != c.structured {
					t.Errorf("labelled: %v, want %v", labelled, c.structured)
				}
				var got task.Task
				if err := record.Decode(l.record, &got); err != nil || got.ID != l.id || got.Source != l.source {
					t.Errorf("nodes read %q of %q (%v), counted was %q of %q", got.ID, got.Source, err, l.id, l.source)
				}
			}
			if l := f.next(); !errors.Is(l.end, io.EOF) {
				t.Errorf("after the last line: %+v", l)
			}
		})
	}
}

// What is behind a line that is too long is read as if nothing had been, and every byte is accounted for.
func TestALongLineStopsNothing(t *testing.T) {
	input := `{"id":"1","type":"x"}` + "\n" + strings.Repeat("x", 1<<20) + "\n" + `{"id":"2","type":"x"}` + "\n"
	for name, in := range map[string]io.Reader{"at once": strings.NewReader(input), "byte by byte": iotest.OneByteReader(strings.NewReader(input))} {
		t.Run(name, func(t *testing.T) {
			f := newTaskFile(in, 1000)
			read := 0
			var numbers []int
			for {
				l := f.next()
				read += l.bytes
				if l.end != nil {
					break
				}
				if l.bad == nil {
					numbers = append(numbers, l.number)
				}
			}
			if len(numbers) != 2 || numbers[0] != 1 || numbers[1] != 3 || read != len(input) {
				t.Errorf("good lines %v, %d bytes; want lines 1 and 3, %d bytes", numbers, read, len(input))
			}
		})
	}
}

func TestAReadErrorNamesItsLine(t *testing.T) {
	in := io.MultiReader(strings.NewReader(`{"id":"1","type":"x"}`+"\n"+`{"id":`), iotest.ErrReader(errors.New("disk on fire")))
	f := newTaskFile(in, 1000)
	f.next()
	if l := f.next(); errorText(l.end) != "read line 2: disk on fire" {
		t.Errorf("end: %v", l.end)
	}
}

func TestPartitionKeysBecomeRecordKeys(t *testing.T) {
	l := newTaskFile(strings.NewReader(`{"specversion":"1.0","id":"1","source":"/a","type":"x","partitionkey":"ann"}`), 1000).next()
	if l.bad != nil || string(l.record.Key) != "ann" {
		t.Errorf("key %q (%v), want ann", l.record.Key, l.bad)
	}
}

func TestCountLines(t *testing.T) {
	for input, want := range map[string]int64{"": 0, "\n": 0, "a": 1, "a\n": 1, "a\n\n\nb": 2, "a\nb\n": 2} {
		if n, err := countLines(iotest.HalfReader(strings.NewReader(input))); n != want || err != nil {
			t.Errorf("%q: %d (%v), want %d", input, n, err, want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
