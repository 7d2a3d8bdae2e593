package handler

import (
	"strings"
	"testing"
)

func TestTailKeepsTheEnd(t *testing.T) {
	for _, c := range []struct {
		name   string
		writes []string
		want   string
	}{
		{"nothing", nil, ""},
		{"less than it holds", []string{"abc", "de"}, "abcde"},
		{"exactly what it holds", []string{"abcd", "efgh"}, "abcdefgh"},
		{"a little more", []string{"abcd", "efgh", "i"}, "…bcdefghi"},
		{"far more at once", []string{"x", strings.Repeat("y", 100) + "12345678"}, "…12345678"},
		{"cleaned", []string{" a\x1b\r\nb\xff\n"}, "a\nb?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &tail{max: 8}
			for _, s := range c.writes {
				if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatalf("Write said %d, %v for %d bytes", n, err, len(s))
				}
			}
			if got := w.String(); got != c.want {
				t.Errorf("kept %q, want %q", got, c.want)
			}
			if cap(w.buf) > 64 {
				t.Errorf("it occupies %d bytes", cap(w.buf))
			}
		})
	}
}
