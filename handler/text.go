package handler

import (
	"strconv"
	"strings"
	"unicode"
)

// clean makes foreign bytes fit for an error that travels in a record and is printed on terminals: valid UTF-8 without
// control characters other than newline and tab, without space around it, and never longer than it was.
func clean(b []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(b), "?")))
}

// oneLine is clean with every run of space as one blank.
func oneLine(b []byte) string { return strings.Join(strings.Fields(clean(b)), " ") }

// quote shows a foreign value in an error, shortened.
func quote(s string) string {
	const most = 100
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}

// A tail keeps the last bytes written to it.
type tail struct {
	buf []byte
	max int
	cut bool // whether anything was dropped
}

func (w *tail) Write(p []byte) (int, error) {
	n := len(p)
	if n > w.max {
		p = p[n-w.max:]
		w.cut = true
	}
	if over := len(w.buf) + len(p) - w.max; over > 0 {
		w.buf = w.buf[:copy(w.buf, w.buf[over:])]
		w.cut = true
	}
	w.buf = append(w.buf, p...)
	return n, nil
}

// String is what was kept, cleaned; it begins with an ellipsis if that is not all.
func (w *tail) String() string {
	s := clean(w.buf)
	if w.cut {
		return "…" + s
	}
	return s
}
