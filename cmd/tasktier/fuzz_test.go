package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
)

// FuzzTaskFile: every line of a file is a record that fits, of the task that was counted, or it is said what is wrong with
// it; none is left out.
func FuzzTaskFile(f *testing.F) {
	f.Add([]byte("\ufeff{\"id\":\"1\",\"type\":\"x\",\"payload\":{\"n\":1}}\r\n\n \t\n{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/a\",\"type\":\"x\",\"data_base64\":\"AP8=\"}"), uint16(400))
	f.Add([]byte("{\"id\":\"1\",\"type\":\"x\",\"payload\":\""+strings.Repeat("a", 500)+"\"}\nhello\n[1]\n"), uint16(100))
	f.Add([]byte("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/plain\",\"type\":\"x\",\"partitionkey\":\"k\",\"ttgeneration\":3}\n\x00\xff\r\r\n"), uint16(1000))
	f.Fuzz(func(t *testing.T, content []byte, limit uint16) {
		in := newTaskFile(bytes.NewReader(content), int(limit))
		number, read := 0, 0
		for {
			l := in.next()
			read += l.bytes
			if l.end != nil {
				if !errors.Is(l.end, io.EOF) || read != len(content) {
					t.Fatalf("ended after %d of %d bytes: %v", read, len(content), l.end)
				}
				break
			}
			if l.number <= number {
				t.Fatalf("line %d follows line %d", l.number, number)
			}
			number = l.number
			if (l.bad == nil) == (l.record == nil) {
				t.Fatalf("line %d: record %v, bad %v", number, l.record, l.bad)
			}
			if l.bad != nil {
				if text := l.bad.Error(); text == "" || len(text) > 2<<10 || strings.Contains(text, "\n") {
					t.Fatalf("line %d is bad: %q", number, text)
				}
				continue
			}
			var got task.Task
			if err := record.Decode(l.record, &got); err != nil || got.ID != l.id || got.Source != l.source || got.ID == "" {
				t.Fatalf("line %d is counted as %q of %q, and read as %+v, %v", number, l.id, l.source, got, err)
			}
			if size := record.Size(l.record); size > int(limit)+sizeSlack {
				t.Fatalf("line %d makes a record of %d bytes, more than %d", number, size, limit)
			}
		}
		if lines := bytes.Count(content, []byte("\n")) + 1; number > lines {
			t.Fatalf("line %d of %d", number, lines)
		}
	})
}

// FuzzFlags: what a flag takes is within its bounds, and shown again as something that it takes.
func FuzzFlags(f *testing.F) {
	for _, text := range []string{"", "2h", "-2h", "0", "2027-01-31T08:00:00Z", "2027-01-31T08:00:00.5+01:00", "10%", " 10 %", "0%", "NaN", "Inf%", "1e-400%", "100.0000001", "9223372036854775807ns", "0x1p-2%"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var p percent
		if p.Set(text) == nil {
			if !(p > 0 && p <= 100) {
				t.Fatalf("%q is %v%%", text, float64(p))
			}
			if again := p; again.Set(p.String()) != nil || again != p {
				t.Fatalf("%q is shown as %s, which is %s", text, p.String(), again.String())
			}
		}
		var at moment
		if at.Set(text) == nil && !at.IsZero() {
			if again := at; again.Set(at.String()) != nil || again.Sub(at.Time).Abs() >= time.Second {
				t.Fatalf("%q is shown as %s", text, at.String())
			}
		}
		var s since
		if before := time.Now(); s.Set(text) == nil {
			if _, err := time.Parse(time.RFC3339, text); err != nil && s.After(before.Add(time.Minute)) {
				t.Fatalf("%q is %v, in the future", text, s.Time)
			}
			if s.String() != text {
				t.Fatalf("%q is shown as %q", text, s.String())
			}
		}
	})
}
