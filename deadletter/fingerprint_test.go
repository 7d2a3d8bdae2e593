package deadletter

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFingerprint(t *testing.T) {
	tests := []struct{ err, text string }{
		{"", ""},
		{"no luck", "no luck"},
		{"attempt 3 of 25", "attempt <n> of <n>"},
		{"dial tcp 10.0.0.17:9092: i/o timeout", "dial tcp <n>: i/o timeout"},
		{"took 1.5s, then 250ms and 1h2m3s", "took <d>, then <d> and <d>"},
		{"5 meters, 5m, 5mm", "<n> meters, <d>, <n>mm"},
		{"order 0199a2b4-7c1d-7e4f-9b3a-001122334455 is gone", "order <id> is gone"},
		{"commit deadbeef01 by 0xc000123abc", "commit <id> by <id>"},
		{"facade and decade stay", "facade and decade stay"},
		{"request 01HQ3ZK7M2A9C4D8E5F6G7H8J9 failed", "request <id> failed"},
		{"job17 on node3 via http2", "job<n> on node<n> via http<n>"},
		{`open "/tmp/a b": denied`, "open <s>: denied"},
		{`say "a \"word\" or two" now`, "say <s> now"},
		{"can't open 'x y', it's bad", "can't open <s>, it's bad"},
		{"unknown column `name`", "unknown column <s>"},
		{`an open " stays`, `an open " stays`},
		{"two\n\t lines", "two lines"},
		{"2026-10-01T12:00:00.5Z", "<n>-<n>-<n>T<n>Z"},
		{"<n> is no number", "<n> is no number"},
		{"café über 3 µs 4µs", "café über <n> µs <d>"},
		{"\x1b[31mred\x1b[0m \u202e", "\x1b[<n>mred\x1b[<d> \u202e"},
	}
	for _, tt := range tests {
		f := fingerprintOf(tt.err)
		if f.text != tt.text {
			t.Errorf("%q: %q, want %q", tt.err, f.text, tt.text)
		}
		if re, err := regexp.Compile(f.pattern); err != nil || !re.MatchString(tt.err) {
			t.Errorf("%q: its pattern %s does not match it (%v)", tt.err, f.pattern, err)
		}
	}
}

// Of these, those in a row are of one kind, and the pattern of one matches the others of its row and no other.
func TestFingerprintsTellKindsApart(t *testing.T) {
	rows := [][]string{
		{"no such customer 1", "no such customer 4711", "no such customer 1,000.5"},
		{"no such customer", "no such customer"},
		{"no such customer 1 in shop 2", "no such customer 9 in shop 10"},
		{`Get "http://a/b": EOF`, `Get "http://c/d?e=f": EOF`},
		{"timeout after 5s", "timeout after 1m30s"},
		{"timeout after 5 s", "timeout after 17 s"},
		{"id 0199a2b4-7c1d-7e4f-9b3a-001122334455", "id ffffffff-7c1d-7e4f-9b3a-00112233445f"},
		{"a\nb", "a \t b"},
		{"a b", "a b"},
		{strings.Repeat("long ", 50) + "one", strings.Repeat("long ", 50) + "other"},
		{"a.b", "a.b"},
		{"a+b", "a+b"},
	}
	for i, row := range rows {
		f := fingerprintOf(row[0])
		re := regexp.MustCompile(f.pattern)
		for j, other := range rows {
			for _, err := range other {
				if same := fingerprintOf(err) == f; same != (i == j) && (i == j || fingerprintOf(err).pattern == f.pattern) {
					t.Errorf("%q and %q: the same is %v", row[0], err, same)
				}
				if re.MatchString(err) != (i == j) {
					t.Errorf("the pattern of %q matches %q: %v", row[0], err, i != j)
				}
			}
		}
	}
}

// Whatever an error is, its pattern compiles, is bounded, fits on a line and matches it.
func FuzzFingerprint(f *testing.F) {
	for _, s := range []string{"", "a 1 b", `"\`, "'", "`", "0x", "1.", "1:2", "5µ", "\xff", "\u202e", strings.Repeat("9 ", 200), "00000000-0000-0000-0000-000000000000x", "$^.*", "\x00\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, err string) {
		p := fingerprintOf(err)
		re, bad := regexp.Compile(p.pattern)
		if bad != nil {
			t.Fatalf("%q: %s: %v", err, p.pattern, bad)
		}
		if !re.MatchString(err) {
			t.Fatalf("%q is not matched by %s", err, p.pattern)
		}
		if len(p.text) > maxFingerprint+utf8.UTFMax || len(p.pattern) > 100*maxFingerprint || strings.ContainsAny(p.pattern, "\n\r\x00\x1b") {
			t.Fatalf("%q: %q, %q", err, p.text, p.pattern)
		}
	})
}
