package handler

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tasktier/tasktier/task"
)

// Services and commands answer what they like.

// FuzzAnswer: what a service answers is judged by its status, and quoted in one line that fits a record.
func FuzzAnswer(f *testing.F) {
	f.Add(204, "", "", []byte(""))
	f.Add(429, "120", "", []byte("slow down"))
	f.Add(503, "Wed, 21 Oct 2026 07:28:00 GMT", "", []byte("\xff\x00\r\n"))
	f.Add(503, "-5", "", bytes.Repeat([]byte("é\n"), 5000))
	f.Add(302, "1", "\x00\nhttps://elsewhere", []byte(nil))
	f.Add(418, "99999999999999999999", "", []byte("\u2028\x1b[31m"))
	f.Add(-1, "", "", []byte("x"))
	p := &poster{shown: "https://service/path"}
	f.Fuzz(func(t *testing.T, code int, retryAfter, location string, body []byte) {
		header := http.Header{}
		header.Set("Retry-After", retryAfter)
		header.Set("Location", location)
		err := p.judge(context.Background(), &http.Response{StatusCode: code, Header: header, Body: io.NopCloser(bytes.NewReader(body))})
		var permanent *task.PermanentError
		var snooze *task.SnoozeError
		switch {
		case (err == nil) != (code >= 200 && code <= 299):
			t.Fatalf("%d: %v", code, err)
		case err == nil:
			return
		case errors.As(err, &snooze):
			if code != 429 && code != 503 || snooze.Delay < minSnooze || snooze.Delay > maxSnooze {
				t.Fatalf("%d with Retry-After %q: %v", code, retryAfter, err)
			}
			return
		case errors.As(err, &permanent) && !(code >= 300 && code <= 499 && code != 408 && code != 425 && code != 429):
			t.Fatalf("%d is permanent", code)
		}
		if text := err.Error(); len(text) > 4<<10 || !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r\x00\x1b") {
			t.Fatalf("%d: %q, %d bytes", code, text, len(text))
		}
	})
}

// FuzzRetryAfter: the delay is within bounds whatever the header says, and never shorter for a longer wait.
func FuzzRetryAfter(f *testing.F) {
	for _, v := range []string{"", "0", "120", "-1", "+1", "1.5", "18446744073709551616", "Wed, 21 Oct 2026 07:28:00 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "soon"} {
		f.Add(v, int64(1_790_000_000))
	}
	f.Fuzz(func(t *testing.T, v string, now int64) {
		at := time.Unix(now%4_000_000_000, 0)
		d, ok := retryAfter(v, at)
		if !ok {
			if d != 0 {
				t.Fatalf("%q: %v", v, d)
			}
			return
		}
		if d < minSnooze || d > maxSnooze {
			t.Fatalf("%q: %v", v, d)
		}
		if later, ok := retryAfter(v, at.Add(time.Hour)); !ok || later > d {
			t.Fatalf("%q: %v, and an hour later %v", v, d, later)
		}
	})
}

// FuzzOutput: of what a command writes, in whatever pieces, the end is kept of one stream, and all or nothing of the other.
func FuzzOutput(f *testing.F) {
	f.Add([]byte("hello\nworld"), uint16(3), uint8(4))
	f.Add(bytes.Repeat([]byte("é"), 300), uint16(7), uint8(255))
	f.Add([]byte("\xff\x00\x1b[0m"), uint16(1), uint8(0))
	f.Fuzz(func(t *testing.T, said []byte, piece uint16, most uint8) {
		end, all := &tail{max: int(most)}, &whole{}
		for rest := said; len(rest) > 0; {
			n := min(int(piece)+1, len(rest))
			for _, w := range []io.Writer{end, all} {
				if took, err := w.Write(rest[:n]); took != n || err != nil {
					t.Fatalf("took %d of %d: %v", took, n, err)
				}
			}
			rest = rest[n:]
		}
		if !bytes.Equal(all.buf, said) && len(said) <= task.MaxResult {
			t.Fatalf("kept %q of %q", all.buf, said)
		}
		if want := said[max(0, len(said)-int(most)):]; !bytes.Equal(end.buf, want) || end.cut != (len(said) > int(most)) {
			t.Fatalf("kept the end %q, want %q", end.buf, want)
		}
		if text := end.String(); !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\x1b") {
			t.Fatalf("shows %q", text)
		}
	})
}

// FuzzEnvironment: a command's environment can be one, and no header of a task passes for tasktier's own word.
func FuzzEnvironment(f *testing.F) {
	f.Add("7", "/s", "tenant", "a")
	f.Add("\x00", "/s", "", "b")
	f.Add("7", "/s", "ce_ttfence", "9")
	f.Add("7", "/s", "CE-TTfence", "9")
	f.Add("7", "/s", "é=\n", "x\x00")
	f.Add("7", "/s", "ce\xfftt", strings.Repeat("x", 200_000))
	f.Fuzz(func(t *testing.T, id, source, name, value string) {
		env, err := taskEnvironment(&task.Task{ID: id, Source: source, Type: "t", Headers: []task.Header{{Key: name, Value: value}}}, tokens{fence: 5})
		if err != nil {
			if len(id) <= maxValue && len(source) <= maxValue && !strings.Contains(id+source, "\x00") {
				t.Fatalf("id %q, source %q: %v", id, source, err)
			}
			return
		}
		seen := make(map[string]bool)
		for _, v := range env {
			name, _, ok := strings.Cut(v, "=")
			if !ok || strings.Contains(v, "\x00") || seen[name] || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
				t.Fatalf("variable %q", v)
			}
			seen[name] = true
			if strings.HasPrefix(name, headerPrefix+"CE_TT") {
				t.Fatalf("variable %q is of a header %q", v, name)
			}
		}
	})
}
